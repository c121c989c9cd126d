// Hot blocks to dynamic values, led by the shape.
//
// The walk is the typed reader's (codec_read.hpp): the same cursor, the same checks, the same order.
#include "runtime/value/text.hpp"
#include "runtime/value/time_text.hpp"

#include <berth/codec.hpp>
#include <berth/value.hpp>
#include <cmath>
#include <unordered_set>

namespace berth {
namespace {

using detail::load;
using detail::reader;
using detail::tail_view;

/// A value that stands for absence where an optional's own content could look like it.
bool is_nullable(const shape& s) {
  return s.form() == form::optional || s.form() == form::unit;
}

class hot_decoder {
 public:
  hot_decoder(const block_view& view, std::uint64_t fixed) : reader_(view, fixed) {
    if (reader_.why != flaw::none) throw_flaw();
  }

  [[nodiscard]] const std::byte* base() const { return reader_.base; }

  value read(const shape& s, const std::byte* at) {
    if (++nodes_ > value_nodes_max)
      throw error(fail(kind::invalid, "too_large",
                       "this holds more than " + std::to_string(value_nodes_max)
                           + " values: send large data as a tensor or bytes"));
    switch (s.form()) {
      case form::unit:
        return {};
      case form::text:
        return read_text(at);
      case form::bytes:
        return read_bytes(at);
      case form::list:
        return read_list(s.parts()[0].shape, at);
      case form::map:
        return read_map(s, at);
      case form::array:
        return read_array(s, at);
      case form::optional:
        return read_optional(s, at);
      case form::variant:
        return read_variant(s, at);
      case form::tuple:
        return read_tuple(s, at);
      case form::record:
        return read_record(s, at);
      case form::enumeration:
        return read_enumeration(s, at);
      case form::duration:
        return detail::print_duration(read_ticks(s.underlying(), at), s);
      case form::time:
        return detail::print_time(read_ticks(s.underlying(), at), s);
      case form::tensor:
        return read_tensor(s, at);
      default:
        return read_scalar(s.form(), at);
    }
  }

  void finish() {
    if (reader_.finish() != flaw::none) throw_flaw();
  }

 private:
  using flaw = codec::flaw;

  [[noreturn]] void throw_flaw() const { throw error(codec::explain(reader_.why)); }

  [[noreturn]] void refuse(flaw f) {
    reader_.why = f;
    throw_flaw();
  }

  tail_view tail(const std::byte* at,
                 std::uint64_t element,
                 std::size_t align,
                 bool may_stand_beside) {
    tail_view found;
    if (!reader_.tail(at, element, align, may_stand_beside, found)) throw_flaw();
    return found;
  }

  value read_scalar(form f, const std::byte* at) {
    switch (f) {
      case form::boolean: {
        const auto bits = std::to_integer<unsigned>(*at);
        if (bits > 1) refuse(flaw::bad_bool);
        return bits == 1;
      }
      case form::i8:
        return std::int64_t{load<std::int8_t>(at)};
      case form::i16:
        return std::int64_t{load<std::int16_t>(at)};
      case form::i32:
        return std::int64_t{load<std::int32_t>(at)};
      case form::i64:
        return load<std::int64_t>(at);
      case form::u8:
        return std::uint64_t{load<std::uint8_t>(at)};
      case form::u16:
        return std::uint64_t{load<std::uint16_t>(at)};
      case form::u32:
        return std::uint64_t{load<std::uint32_t>(at)};
      case form::u64:
        return load<std::uint64_t>(at);
      case form::f32:
        return detail::widened(load<float>(at));
      case form::f64:
        return load<double>(at);
      case form::f80:
        return read_long_double(at);
      default:
        return read_character(at);
    }
  }

  /// As a double when that says the same, else as decimal text.
  static value read_long_double(const std::byte* at) {
    long double x = 0;
    std::memcpy(&x, at, 10);
    const auto rounded = static_cast<double>(x);
    if (static_cast<long double>(rounded) == x || std::isnan(x)) return rounded;
    return detail::print_number(x);
  }

  /// A printable ASCII character as text of one, any other as its number.
  static value read_character(const std::byte* at) {
    const auto code = std::to_integer<unsigned>(*at);
    if (code >= 0x20 && code < 0x7F) return std::string(1, static_cast<char>(code));
    return std::uint64_t{code};
  }

  detail::ticks read_ticks(form f, const std::byte* at) {
    const value v = read_scalar(f, at);
    if (const auto* i = v.get<std::int64_t>()) return *i;
    if (const auto* u = v.get<std::uint64_t>()) return *u;
    if (const auto* d = v.get<double>()) return *d;
    refuse(flaw::bad_choice);
  }

  value read_text(const std::byte* at) {
    const tail_view t = tail(at, 1, 1, true);
    return std::string(reinterpret_cast<const char*>(t.data), t.count);
  }

  value read_bytes(const std::byte* at) {
    const tail_view t = tail(at, 1, 1, true);
    return t.count == 0 ? bytes() : bytes(t.data, t.data + t.count);
  }

  value read_list(const shape& element, const std::byte* at) {
    const tail_view t = tail(at, element.bytes(), element.align(), element.plain());
    value::list all;
    all.reserve(std::min<std::uint64_t>(t.count, value_nodes_max - nodes_));
    for (std::uint64_t i = 0; i < t.count; ++i)
      all.push_back(read(element, t.data + i * element.bytes()));
    return all;
  }

  value read_map(const shape& s, const std::byte* at) {
    const shape& key = s.parts()[0].shape;
    const shape& mapped = s.parts()[1].shape;
    const std::uint64_t second = detail::align_up(key.bytes(), mapped.align());
    const std::size_t align = std::max(key.align(), mapped.align());
    const std::uint64_t step = detail::align_up(second + mapped.bytes(), align);
    const tail_view t = tail(at, step, align, false);
    return key.form() == form::text ? read_object(s, t, second, step)
                                    : read_pairs(s, t, second, step);
  }

  value read_object(const shape& s, const tail_view& t, std::uint64_t second, std::uint64_t step) {
    value::object all;
    std::unordered_set<std::string> seen;
    for (std::uint64_t i = 0; i < t.count; ++i) {
      const std::byte* const one = t.data + i * step;
      value key = read(s.parts()[0].shape, one);
      if (!seen.insert(*key.get<std::string>()).second) refuse(flaw::doubled_key);
      all.push_back({std::move(*key.get<std::string>()), read(s.parts()[1].shape, one + second)});
    }
    return all;
  }

  value read_pairs(const shape& s, const tail_view& t, std::uint64_t second, std::uint64_t step) {
    value::list all;
    for (std::uint64_t i = 0; i < t.count; ++i) {
      const std::byte* const one = t.data + i * step;
      value key = read(s.parts()[0].shape, one);
      all.push_back(value::list{std::move(key), read(s.parts()[1].shape, one + second)});
    }
    return all;
  }

  value read_array(const shape& s, const std::byte* at) {
    const shape& element = s.parts()[0].shape;
    value::list all;
    for (std::uint64_t i = 0; i < s.extent(); ++i)
      all.push_back(read(element, at + i * element.bytes()));
    return all;
  }

  value read_optional(const shape& s, const std::byte* at) {
    const auto mark = std::to_integer<unsigned>(*at);
    if (mark > 1) refuse(flaw::bad_choice);
    if (mark == 0) return {};
    const shape& inner = s.parts()[0].shape;
    value held = read(inner, at + s.align());
    if (is_nullable(inner)) return value::list{std::move(held)};
    return held;
  }

  value read_variant(const shape& s, const std::byte* at) {
    const auto index = std::to_integer<std::size_t>(*at);
    if (index >= s.parts().size()) refuse(flaw::bad_choice);
    const part& chosen = s.parts()[index];
    return value::object{{chosen.name, read(chosen.shape, at + s.align())}};
  }

  value read_tuple(const shape& s, const std::byte* at) {
    value::list all;
    std::uint64_t offset = 0;
    for (const auto& p : s.parts()) {
      offset = detail::align_up(offset, p.shape.align());
      all.push_back(read(p.shape, at + offset));
      offset += p.shape.bytes();
    }
    return all;
  }

  value read_record(const shape& s, const std::byte* at) {
    value::object all;
    std::uint64_t offset = 0;
    for (const auto& p : s.parts()) {
      offset = detail::align_up(offset, p.shape.align());
      all.push_back({p.name, read(p.shape, at + offset)});
      offset += p.shape.bytes();
    }
    return all;
  }

  value read_enumeration(const shape& s, const std::byte* at) {
    value number = read_scalar(s.underlying(), at);
    const auto* b = number.get<bool>();
    for (const auto& e : s.names())
      if (b ? e.value == static_cast<std::int64_t>(*b) : value(e.value) == number) return e.name;
    return number;
  }

  value read_tensor(const shape& s, const std::byte* at) {
    any_tensor tensor;
    if (!detail::get_tensor(reader_, at, s.element(), tensor)) throw_flaw();
    return tensor;
  }

  reader reader_;
  std::size_t nodes_ = 0;
};

template <class F>
result<value> guarded(F&& read) {
  try {
    return read();
  } catch (const error& e) {
    return e.info();
  }
}

}  // namespace

result<value> decode_hot(const shape& shape, const block_view& view) {
  return guarded([&]() -> value {
    // `void` crosses as no block at all; a unit elsewhere takes a byte.
    hot_decoder in(view, shape.form() == form::unit && view.block.empty() ? 0 : shape.bytes());
    value v = in.read(shape, in.base());
    in.finish();
    return v;
  });
}

result<value> decode_hot(const signature& signature, const block_view& view) {
  return guarded([&]() -> value {
    std::uint64_t end = 0;
    std::uint64_t align = 1;
    std::vector<std::uint64_t> offsets;
    for (const auto& p : signature.params) {
      if (p.flow == flow::stream) continue;
      const std::uint64_t at = detail::align_up(end, p.shape.align());
      offsets.push_back(at);
      end = at + p.shape.bytes();
      align = std::max<std::uint64_t>(align, p.shape.align());
    }
    hot_decoder in(view, detail::align_up(end, align));
    value::list all;
    for (const auto& p : signature.params)
      if (p.flow == flow::single) {
        const std::uint64_t at = offsets[all.size()];
        all.push_back(in.read(p.shape, in.base() + at));
      }
    in.finish();
    return all;
  });
}

}  // namespace berth
