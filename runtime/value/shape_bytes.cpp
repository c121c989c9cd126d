// Shapes and signatures as compact byte strings.
//
// A shape is its form's byte, then what the form needs; counts and sizes are variable-length integers (7 bits a
// byte, lowest first), texts a size and their bytes. docs/protocol.md, "Shapes and signatures", is the reference.
#include <berth/shape.hpp>

namespace berth {
namespace {

constexpr std::size_t name_bytes_max = 1024;
constexpr std::size_t params_max = 256;
constexpr std::size_t signatures_max = 1024;

class byte_writer {
 public:
  void byte(std::uint8_t b) { out_.push_back(static_cast<char>(b)); }

  void number(std::uint64_t n) {
    while (n >= 0x80) {
      byte(static_cast<std::uint8_t>(n | 0x80));
      n >>= 7;
    }
    byte(static_cast<std::uint8_t>(n));
  }

  /// Small negative numbers stay small: the sign goes into the lowest bit.
  void signed_number(std::int64_t n) {
    number((static_cast<std::uint64_t>(n) << 1) ^ static_cast<std::uint64_t>(n >> 63));
  }

  void text(std::string_view t) {
    number(t.size());
    out_ += t;
  }

  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

/// Reads with bounds; the first violation sticks and every later read gives zero.
class byte_reader {
 public:
  explicit byte_reader(std::string_view from) : rest_(from) {}

  [[nodiscard]] bool good() const noexcept { return good_; }

  [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }

  void refuse() noexcept {
    good_ = false;
    rest_ = {};
  }

  std::uint8_t byte() {
    if (rest_.empty()) {
      refuse();
      return 0;
    }
    const auto b = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return b;
  }

  std::uint64_t number() {
    std::uint64_t n = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint8_t b = byte();
      if (shift == 63 && b > 1) break;
      n |= static_cast<std::uint64_t>(b & 0x7F) << shift;
      if (b < 0x80) return n;
    }
    refuse();
    return 0;
  }

  std::int64_t signed_number() {
    const std::uint64_t n = number();
    return static_cast<std::int64_t>(n >> 1) ^ -static_cast<std::int64_t>(n & 1);
  }

  /// A count of things that take at least one byte each.
  std::size_t count(std::size_t max) {
    const std::uint64_t n = number();
    if (n > max || n > rest_.size()) refuse();
    return good_ ? static_cast<std::size_t>(n) : 0;
  }

  std::string text(std::size_t max) {
    const std::size_t n = count(max);
    std::string t(rest_.substr(0, n));
    rest_.remove_prefix(n);
    return t;
  }

 private:
  std::string_view rest_;
  bool good_ = true;
};

bool is_scalar(form f) {
  return (f >= form::boolean && f <= form::f64) || f == form::character;
}

void write_shape(byte_writer& out, const shape& s) {
  out.byte(static_cast<std::uint8_t>(s.form()));
  switch (s.form()) {
    case form::record:
      out.text(s.name());
      out.number(s.parts().size());
      for (const auto& p : s.parts()) {
        out.text(p.name);
        out.text(p.preset);
        write_shape(out, p.shape);
      }
      return;
    case form::variant:
    case form::tuple:
      out.number(s.parts().size());
      break;
    case form::array:
      out.number(s.extent());
      break;
    case form::enumeration:
      out.text(s.name());
      out.byte(static_cast<std::uint8_t>(s.underlying()));
      out.number(s.names().size());
      for (const auto& e : s.names()) {
        out.text(e.name);
        out.signed_number(e.value);
      }
      return;
    case form::duration:
    case form::time:
      out.byte(static_cast<std::uint8_t>(s.underlying()));
      out.signed_number(s.num());
      out.signed_number(s.den());
      return;
    case form::tensor:
      out.byte(static_cast<std::uint8_t>(s.element()));
      return;
    default:
      break;
  }
  for (const auto& p : s.parts())
    write_shape(out, p.shape);
}

shape read_shape(byte_reader& in, std::size_t depth, std::size_t& nodes);

std::vector<shape> read_shapes(byte_reader& in,
                               std::size_t count,
                               std::size_t depth,
                               std::size_t& nodes) {
  std::vector<shape> all;
  for (std::size_t i = 0; i < count && in.good(); ++i)
    all.push_back(read_shape(in, depth, nodes));
  return all;
}

shape read_record(byte_reader& in, std::size_t depth, std::size_t& nodes) {
  std::string name = in.text(name_bytes_max);
  const std::size_t count = in.count(shape::parts_max);
  std::vector<part> members;
  for (std::size_t i = 0; i < count && in.good(); ++i) {
    part p;
    p.name = in.text(name_bytes_max);
    p.preset = in.text(shape::encoded_bytes_max);
    p.shape = read_shape(in, depth, nodes);
    members.push_back(std::move(p));
  }
  return shape::record(std::move(name), std::move(members));
}

shape read_enumeration(byte_reader& in) {
  std::string name = in.text(name_bytes_max);
  const auto underlying = static_cast<form>(in.byte());
  if (!is_scalar(underlying) || underlying == form::f32 || underlying == form::f64) in.refuse();
  const std::size_t count = in.count(shape::parts_max);
  std::vector<enumerator> names;
  for (std::size_t i = 0; i < count && in.good(); ++i) {
    std::string one = in.text(name_bytes_max);
    names.push_back({std::move(one), in.signed_number()});
  }
  return shape::enumeration(std::move(name), underlying, std::move(names));
}

shape read_duration(byte_reader& in, form f) {
  const auto rep = static_cast<form>(in.byte());
  const std::int64_t num = in.signed_number();
  const std::int64_t den = in.signed_number();
  if (!is_scalar(rep) || rep == form::boolean || rep == form::character || num <= 0 || den <= 0)
    in.refuse();
  return f == form::duration ? shape::duration(rep, num, den) : shape::time(rep, num, den);
}

shape read_tensor(byte_reader& in) {
  const auto element = static_cast<dtype>(in.byte());
  if (size_of(element) == 0) in.refuse();
  return shape::tensor(element);
}

shape read_shape(byte_reader& in, std::size_t depth, std::size_t& nodes) {
  if (++nodes > shape::nodes_max || depth > shape::depth_max) in.refuse();
  const auto f = static_cast<form>(in.byte());
  if (!in.good()) return {};
  auto one = [&] { return read_shape(in, depth + 1, nodes); };
  switch (f) {
    case form::list:
      return shape::list(one());
    case form::map: {
      auto key = one();
      return shape::map(std::move(key), one());
    }
    case form::optional:
      return shape::optional(one());
    case form::array: {
      const std::uint64_t extent = in.number();
      auto element = one();
      return in.good() ? shape::array(std::move(element), extent) : shape();
    }
    case form::variant: {
      const std::size_t count = in.count(shape::parts_max);
      if (count == 0) in.refuse();
      return shape::variant(read_shapes(in, count, depth + 1, nodes));
    }
    case form::tuple:
      return shape::tuple(read_shapes(in, in.count(shape::parts_max), depth + 1, nodes));
    case form::record:
      return read_record(in, depth + 1, nodes);
    case form::enumeration:
      return read_enumeration(in);
    case form::duration:
    case form::time:
      return read_duration(in, f);
    case form::tensor:
      return read_tensor(in);
    default:
      break;
  }
  if (f > form::bytes) in.refuse();
  return in.good() ? shape::simple(f) : shape();
}

void write_signature(byte_writer& out, const signature& s) {
  out.text(s.method);
  out.number(s.params.size());
  for (const auto& p : s.params) {
    out.text(p.name);
    out.byte(static_cast<std::uint8_t>(p.flow));
    write_shape(out, p.shape);
  }
  out.byte(static_cast<std::uint8_t>(s.result_flow));
  write_shape(out, s.result);
}

flow read_flow(byte_reader& in) {
  const std::uint8_t b = in.byte();
  if (b > 1) in.refuse();
  return b == 1 ? flow::stream : flow::single;
}

signature read_signature(byte_reader& in, std::size_t& nodes) {
  signature s;
  s.method = in.text(name_bytes_max);
  const std::size_t count = in.count(params_max);
  for (std::size_t i = 0; i < count && in.good(); ++i) {
    parameter p;
    p.name = in.text(name_bytes_max);
    p.flow = read_flow(in);
    p.shape = read_shape(in, 1, nodes);
    s.params.push_back(std::move(p));
  }
  s.result_flow = read_flow(in);
  s.result = read_shape(in, 1, nodes);
  return s;
}

/// Runs a read over the whole of `from`; limits that `shape` itself holds come as exceptions.
template <class T, class F>
result<T> read_all(std::string_view from, const char* what, F&& read_one) {
  const auto bad = [&](const std::string& why) {
    return fail(kind::invalid, "bad_shape", std::string("this is no encoded ") + what + ": " + why);
  };
  if (from.size() > shape::encoded_bytes_max) return bad("it is too long");
  byte_reader in(from);
  try {
    T made = read_one(in);
    if (!in.good()) return bad("it ends early or holds something unknown");
    if (!in.at_end()) return bad("bytes are left over");
    return made;
  } catch (const error& e) {
    return bad(e.message());
  }
}

}  // namespace

std::string encode(const shape& s) {
  byte_writer out;
  write_shape(out, s);
  return out.take();
}

std::string encode(const signature& s) {
  byte_writer out;
  write_signature(out, s);
  return out.take();
}

std::string encode(std::span<const signature> all) {
  byte_writer out;
  out.number(all.size());
  for (const auto& s : all)
    write_signature(out, s);
  return out.take();
}

result<shape> decode_shape(std::string_view from) {
  return read_all<shape>(from, "shape", [](byte_reader& in) {
    std::size_t nodes = 0;
    return read_shape(in, 1, nodes);
  });
}

result<signature> decode_signature(std::string_view from) {
  return read_all<signature>(from, "signature", [](byte_reader& in) {
    std::size_t nodes = 0;
    return read_signature(in, nodes);
  });
}

result<std::vector<signature>> decode_signatures(std::string_view from) {
  return read_all<std::vector<signature>>(from, "list of signatures", [](byte_reader& in) {
    std::size_t nodes = 0;
    std::vector<signature> all;
    const std::size_t count = in.count(signatures_max);
    for (std::size_t i = 0; i < count && in.good(); ++i)
      all.push_back(read_signature(in, nodes));
    return all;
  });
}

}  // namespace berth
