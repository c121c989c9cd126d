#include "runtime/module/exports.hpp"

#include <algorithm>
#include <berth/failure.hpp>
#include <cstdlib>
#include <cxxabi.h>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <typeinfo>

namespace berth {

namespace {

struct announced {
  std::mutex mutex;
  std::vector<detail::image_exports*> images;
};

// Constructed on first use: static constructors of any image may be the first to announce.
announced& list() {
  static announced all;
  return all;
}

berth_text text_of(std::string_view text) {
  return {text.data(), text.size()};
}

/// What a table's pointers point to. Lives as long as the process.
class table_builder {
 public:
  explicit table_builder(const detail::image_exports& image) {
    for (auto* node = image.first; node != nullptr; node = node->next)
      if (!repeats(*node)) add(*node);
    table_ = {sizeof(berth_module),
              abi::version,
              exports_.data(),
              static_cast<std::uint32_t>(exports_.size()),
              0,
              image.health,
              text_of(problem_)};
  }

  [[nodiscard]] const berth_module* table() const { return &table_; }

 private:
  // A header with exports that several sources include registers the same function once each.
  bool repeats(const detail::export_node& node) {
    if (node.flags & berth_flag_sent) return false;
    const auto& function = node.functions[0].entries;
    const auto twin = std::find_if(exports_.begin(), exports_.end(), [&](const berth_export& one) {
      return std::string_view(one.symbol.data, one.symbol.size) == node.symbol;
    });
    if (twin == exports_.end()) return false;
    const auto& other = twin->functions[0];
    if (other.invoke != function.invoke || other.open != function.open)
      refuse("two exports are called " + std::string(node.symbol)
             + ": give one another name with .as(\"…\")");
    return true;
  }

  void add(const detail::export_node& node) {
    if (node.problem) refuse(std::string(node.symbol) + ": " + node.problem);
    if (node.symbol.empty() && !(node.flags & berth_flag_sent))
      refuse("an export has no name: give it one with .as(\"…\")");
    if (node.concurrency == 0) refuse(std::string(node.symbol) + ": concurrency is at least 1");
    berth_export one{};
    one.symbol = text_of(node.symbol);
    one.flags = node.flags;
    one.concurrency = node.concurrency;
    one.construct = node.construct;
    one.destroy = node.destroy;
    if (node.sign_constructor)
      one.constructor = keep(encode(node.sign_constructor(
          checked(node, node.constructor_parameters, node.constructor_parameter_count))));
    auto& functions = functions_.emplace_back();
    for (std::size_t i = 0; i < node.function_count; ++i)
      functions.push_back(function(node, node.functions[i]));
    one.functions = functions.data();
    one.function_count = static_cast<std::uint32_t>(functions.size());
    exports_.push_back(one);
  }

  berth_function function(const detail::export_node& of, const detail::function_node& node) {
    auto entry = node.entries;
    const bool method = (of.flags & berth_flag_class) != 0;
    entry.name = text_of(node.name);
    entry.signature = keep(encode(node.sign(checked(of, node.parameters, node.parameter_count),
                                            method ? std::string(node.name) : std::string())));
    return entry;
  }

  std::span<const std::string_view> checked(const detail::export_node& of,
                                            const std::string_view* names,
                                            std::size_t count) {
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < count; ++i)
      if (names[i].empty() || !seen.insert(names[i]).second)
        refuse(std::string(of.symbol) + ": a parameter's name is empty or given twice: \""
               + std::string(names[i]) + '"');
    return {names, count};
  }

  berth_text keep(std::string bytes) { return text_of(texts_.emplace_back(std::move(bytes))); }

  void refuse(std::string why) {
    if (problem_.empty()) problem_ = std::move(why);
  }

  std::deque<std::string> texts_;
  std::deque<std::vector<berth_function>> functions_;
  std::vector<berth_export> exports_;
  std::string problem_;
  berth_module table_{};
};

std::string readable(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      __cxxabiv1::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
  return status == 0 && name ? std::string(name.get()) : std::string(type.name());
}

error_info thrown(std::string type, std::string_view what) {
  auto message = "the function threw " + type;
  if (!what.empty()) message += ": " + std::string(what);
  return fail(kind::failed, "exception", std::move(message));
}

error_info current_exception_info() {
  try {
    throw;
  } catch (const failure_base& e) {
    return e.info();
  } catch (const error& e) {
    return e.info();
  } catch (const std::bad_alloc& e) {
    return thrown(readable(typeid(e)), "out of memory");
  } catch (const std::exception& e) {
    return thrown(readable(typeid(e)), e.what());
  } catch (...) {
    const auto* type = __cxxabiv1::__cxa_current_exception_type();
    return thrown(type ? readable(*type) : std::string("something of unknown type"), "");
  }
}

}  // namespace

namespace detail {

void announce(image_exports& image) {
  auto& all = list();
  const std::scoped_lock lock(all.mutex);
  all.images.push_back(&image);
}

const berth_module* table_of(image_exports& image) {
  auto& all = list();
  const std::scoped_lock lock(all.mutex);
  // Never freed: tables live as long as the process.
  if (image.table == nullptr) image.table = (new table_builder(image))->table();
  return image.table;
}

int run_health(const image_exports& image, const berth_sink* sink) {
  try {
    for (const auto* hook = image.first_health; hook != nullptr; hook = hook->next)
      hook->run();
    return berth_done;
  } catch (...) {
    fail_with_current_exception(sink);
    return berth_failed;
  }
}

void fail_with(const berth_sink* sink, const error_info& why) noexcept {
  std::string trail;
  for (const auto& line : why.trail)
    trail += (trail.empty() ? "" : "\n") + line;
  berth_failure failure{};
  failure.kind = static_cast<std::uint8_t>(why.kind);
  failure.retry_after_ms = why.retry_after_ms;
  failure.code = text_of(why.code);
  failure.message = text_of(why.message);
  failure.trail = text_of(trail);
  failure.detail = text_of(why.detail);
  failure.detail_type = text_of(why.detail_type);
  sink->fail(sink->context, &failure);
}

void fail_with_current_exception(const berth_sink* sink) noexcept {
  fail_with(sink, current_exception_info());
}

void throw_failure(const berth_failure& why) {
  throw error(module::info_of(why));
}

bool attach_externals(const berth_sink* sink, std::span<const external> externals) {
  std::vector<berth_external> plain;
  plain.reserve(externals.size());
  for (const auto& one : externals)
    plain.push_back({one.data, one.bytes, one.owner ? &one.owner : nullptr});
  return sink->attach(sink->context, plain.data(), static_cast<std::uint32_t>(plain.size())) != 0;
}

block_view view_of(const berth_view& from, std::vector<external>& externals) {
  const auto first = externals.size();
  for (std::uint32_t i = 0; i < from.count; ++i) {
    const auto& one = from.externals[i];
    external payload{static_cast<const std::byte*>(one.data), one.size, nullptr};
    if (one.owner) payload.owner = *static_cast<const std::shared_ptr<memory>*>(one.owner);
    externals.push_back(std::move(payload));
  }
  return {{static_cast<const std::byte*>(from.block), from.size},
          std::span(externals).subspan(first)};
}

}  // namespace detail

std::vector<detail::image_exports*> module::announced_images() {
  auto& all = list();
  const std::scoped_lock lock(all.mutex);
  return all.images;
}

error_info module::info_of(const berth_failure& why) {
  const auto text = [](const berth_text& t) {
    return std::string(t.data ? t.data : "", t.data ? t.size : 0);
  };
  const bool known = why.kind >= static_cast<std::uint8_t>(kind::failed)
                     && why.kind <= static_cast<std::uint8_t>(kind::cancelled);
  auto info =
      fail(known ? static_cast<kind>(why.kind) : kind::failed, text(why.code), text(why.message));
  info.retry_after_ms = why.retry_after_ms;
  info.detail = text(why.detail);
  info.detail_type = text(why.detail_type);
  for (auto rest = text(why.trail); !rest.empty();) {
    const auto end = std::min(rest.find('\n'), rest.size());
    info.trail.push_back(rest.substr(0, end));
    rest.erase(0, end + 1);
  }
  return info;
}

}  // namespace berth
