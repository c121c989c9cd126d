// Whether a version answers a caller that was compiled against another one.
#include <algorithm>
#include <berth/shape.hpp>

namespace berth {
namespace {

/// The side that may know more: of arguments the version, of results too. A difference is said with its path.
class growth {
 public:
  /// Whether every `older` value can be carried over to `newer` (`gains_at_end`: what it gains must be trailing or
  /// optional, because something has to be put there).
  growth(bool gains_at_end) : gains_at_end_(gains_at_end) {}

  [[nodiscard]] bool fits(const shape& older, const shape& newer, const std::string& path) {
    if (older == newer) return true;
    if (older.form() != newer.form()) return differ(older, newer, path);
    switch (older.form()) {
      case form::record:
        return record_fits(older, newer, path);
      case form::list:
      case form::optional:
        return fits(older.parts()[0].shape, newer.parts()[0].shape, path + "[]");
      case form::array:
        return older.extent() == newer.extent()
                   ? fits(older.parts()[0].shape, newer.parts()[0].shape, path + "[]")
                   : differ(older, newer, path);
      case form::map:
      case form::tuple:
      case form::variant:
        return parts_fit(older, newer, path);
      default:
        return differ(older, newer, path);
    }
  }

  [[nodiscard]] const std::string& why() const { return why_; }

 private:
  bool differ(const shape& older, const shape& newer, const std::string& path) {
    why_ = path + ": the caller has " + to_string(older) + ", the version " + to_string(newer);
    return false;
  }

  bool parts_fit(const shape& older, const shape& newer, const std::string& path) {
    if (older.parts().size() != newer.parts().size()) return differ(older, newer, path);
    for (std::size_t i = 0; i < older.parts().size(); ++i) {
      const part& p = older.parts()[i];
      const part& q = newer.parts()[i];
      if (p.name != q.name) return differ(older, newer, path);
      if (!fits(p.shape, q.shape, path + "[" + (p.name.empty() ? std::to_string(i) : p.name) + "]"))
        return false;
    }
    return true;
  }

  bool record_fits(const shape& older, const shape& newer, const std::string& path) {
    const auto in_newer = [&](const part& p) {
      return std::find_if(newer.parts().begin(), newer.parts().end(),
                          [&](const part& q) { return q.name == p.name; });
    };
    std::size_t known_end = 0;
    for (const auto& p : older.parts()) {
      const auto q = in_newer(p);
      if (q == newer.parts().end()) {
        why_ = path + "." + p.name + ": the version has no such field";
        return false;
      }
      known_end = std::max(known_end, static_cast<std::size_t>(q - newer.parts().begin()) + 1);
      if (!fits(p.shape, q->shape, path + "." + p.name)) return false;
    }
    return !gains_at_end_ || gains_are_fillable(older, newer, known_end, path);
  }

  bool gains_are_fillable(const shape& older,
                          const shape& newer,
                          std::size_t known_end,
                          const std::string& path) {
    for (std::size_t i = 0; i < known_end; ++i) {
      const part& q = newer.parts()[i];
      const bool known = std::any_of(older.parts().begin(), older.parts().end(),
                                     [&](const part& p) { return p.name == q.name; });
      if (known || q.shape.form() == form::optional) continue;
      why_ = path + "." + q.name + ": a new field must stand at the end or be optional";
      return false;
    }
    return true;
  }

  bool gains_at_end_;
  std::string why_;
};

error_info mismatch(const signature& caller, const signature& version, const std::string& why) {
  return fail(kind::invalid, "signature_mismatch",
              why + "\n  the caller has  " + to_string(caller) + "\n  the version has "
                  + to_string(version));
}

/// Why the parameters do not fit; empty when they do.
std::string parameter_trouble(const signature& caller, const signature& version) {
  growth arguments(true);
  for (std::size_t i = 0; i < std::max(caller.params.size(), version.params.size()); ++i) {
    if (i >= version.params.size())
      return "parameter " + std::to_string(i + 1) + " (" + caller.params[i].name
             + "): the version takes no such parameter";
    const parameter& q = version.params[i];
    if (i >= caller.params.size()) {
      if (q.flow == flow::single && q.shape.form() == form::optional) continue;
      return "parameter " + q.name + ": the caller does not give it, and it is not optional";
    }
    const parameter& p = caller.params[i];
    if (p.flow != q.flow) return "parameter " + q.name + ": one is a stream, the other is not";
    if (!arguments.fits(p.shape, q.shape, q.name)) return "parameter " + arguments.why();
  }
  return {};
}

std::string result_trouble(const signature& caller, const signature& version) {
  if (caller.result_flow != version.result_flow) return "result: one is a stream, the other is not";
  // The caller reads what the version sends, dropping what it does not know.
  growth results(false);
  return results.fits(caller.result, version.result, "result") ? std::string() : results.why();
}

}  // namespace

result<fit> answers(const signature& caller, const signature& version) {
  if (caller.method != version.method) return mismatch(caller, version, "the methods differ");
  if (caller == version) return fit::same;
  std::string trouble = parameter_trouble(caller, version);
  if (trouble.empty()) trouble = result_trouble(caller, version);
  if (!trouble.empty()) return mismatch(caller, version, trouble);
  return fit::evolved;
}

}  // namespace berth
