#include "runtime/value/hot_scalars.hpp"

#include "runtime/value/text.hpp"
#include "runtime/value/time_text.hpp"

#include <berth/codec.hpp>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

namespace berth::detail {
namespace {

template <class T>
void store(std::byte* at, T x) {
  std::memcpy(at, &x, sizeof x);
}

template <class T>
T in_range(const shape& s, bool fits, T x, const value& v, const place& where) {
  if (!fits) refuse(where, given(v) + " does not fit " + to_string(s));
  return x;
}

/// 5.0 and 1e3 are integers too.
template <class T>
T whole(const shape& s, double d, const value& v, const place& where) {
  const double limit = std::ldexp(1.0, std::numeric_limits<T>::digits);
  const double low = std::is_signed_v<T> ? -limit : 0.0;
  if (!(d >= low && d < limit) || std::trunc(d) != d)
    refuse(where, given(v) + " does not fit " + to_string(s));
  return static_cast<T>(d);
}

template <class T>
T integer(const shape& s, const value& v, const place& where) {
  if (const auto* i = v.get<std::int64_t>())
    return in_range(s, std::in_range<T>(*i), static_cast<T>(*i), v, where);
  if (const auto* u = v.get<std::uint64_t>())
    return in_range(s, std::in_range<T>(*u), static_cast<T>(*u), v, where);
  if (const auto* d = v.get<double>()) return whole<T>(s, *d, v, where);
  if (const auto* text = v.get<std::string>(); text && sizeof(T) == 8) {
    T x = 0;
    const auto [end, why] = std::from_chars(text->data(), text->data() + text->size(), x);
    if (why == std::errc() && end == text->data() + text->size() && !text->empty()) return x;
  }
  refuse_type(where, s, v);
}

template <class T>
void put_integer(const shape& s, std::byte* to, const value& v, const place& where) {
  store(to, integer<T>(s, v, where));
}

double number(const shape& s, const value& v, const place& where) {
  if (const auto* d = v.get<double>()) return *d;
  if (const auto* i = v.get<std::int64_t>()) return static_cast<double>(*i);
  if (const auto* u = v.get<std::uint64_t>()) return static_cast<double>(*u);
  if (const auto* text = v.get<std::string>())
    if (*text == "NaN" || *text == "Infinity" || *text == "-Infinity") return *parse_number(*text);
  refuse_type(where, s, v);
}

float narrowed(const shape& s, double d, const value& v, const place& where) {
  const auto f = static_cast<float>(d);
  if (std::isinf(f) && std::isfinite(d)) refuse(where, given(v) + " does not fit " + to_string(s));
  return f;
}

void put_long_number(const shape& s, std::byte* to, const value& v, const place& where) {
  long double x = 0;
  const auto* text = v.get<std::string>();
  const auto* i = v.get<std::int64_t>();
  const auto* u = v.get<std::uint64_t>();
  if (text) {
    const auto parsed = parse_long_number(*text);
    if (!parsed) refuse_type(where, s, v);
    x = *parsed;
  } else {
    x = i   ? static_cast<long double>(*i)
        : u ? static_cast<long double>(*u)
            : static_cast<long double>(number(s, v, where));
  }
  put_long_double(to, x);
}

void put_character(const shape& s, std::byte* to, const value& v, const place& where) {
  if (const auto* text = v.get<std::string>()) {
    if (text->size() != 1) refuse(where, "expected one character, got " + given(v));
    return store(to, text->front());
  }
  const auto code = integer<std::int16_t>(s, v, where);
  if (code < -128 || code > 255) refuse(where, given(v) + " does not fit char");
  store(to, static_cast<char>(code));
}

void put_ticks(const shape& s, std::byte* to, const result<ticks>& parsed, const place& where) {
  if (!parsed) refuse(where, parsed.error().message);
  const value count = std::visit([](auto n) { return value(n); }, *parsed);
  put_scalar(s, s.underlying(), to, count, where);
}

}  // namespace

std::string place::path() const {
  std::string before = up ? up->path() : std::string();
  if (!name.empty()) return before.empty() ? std::string(name) : before + "." + std::string(name);
  return up ? before + "[" + std::to_string(index) + "]" : before;
}

void refuse(const place& at, const std::string& why) {
  const std::string path = at.path();
  throw error(fail(kind::invalid, "bad_value", path.empty() ? why : path + ": " + why));
}

std::string quoted(std::string_view text) {
  constexpr std::size_t shown = 40;
  return "\"" + std::string(text.substr(0, shown)) + (text.size() > shown ? "…\"" : "\"");
}

std::string given(const value& v) {
  if (const auto* text = v.get<std::string>()) return "text " + quoted(*text);
  if (const auto* i = v.get<std::int64_t>()) return "integer " + std::to_string(*i);
  if (const auto* u = v.get<std::uint64_t>()) return "integer " + std::to_string(*u);
  if (const auto* d = v.get<double>()) return "number " + print_number(*d);
  if (const auto* b = v.get<bool>()) return *b ? "true" : "false";
  return std::string(v.type());
}

void refuse_type(const place& at, const shape& s, const value& v) {
  refuse(at, "expected " + to_string(s) + ", got " + given(v));
}

void put_scalar(const shape& s, form f, std::byte* to, const value& v, const place& where) {
  switch (f) {
    case form::boolean: {
      const auto* b = v.get<bool>();
      if (!b) refuse_type(where, s, v);
      return store(to, static_cast<std::uint8_t>(*b));
    }
    case form::i8:
      return put_integer<std::int8_t>(s, to, v, where);
    case form::i16:
      return put_integer<std::int16_t>(s, to, v, where);
    case form::i32:
      return put_integer<std::int32_t>(s, to, v, where);
    case form::i64:
      return put_integer<std::int64_t>(s, to, v, where);
    case form::u8:
      return put_integer<std::uint8_t>(s, to, v, where);
    case form::u16:
      return put_integer<std::uint16_t>(s, to, v, where);
    case form::u32:
      return put_integer<std::uint32_t>(s, to, v, where);
    case form::u64:
      return put_integer<std::uint64_t>(s, to, v, where);
    case form::f32:
      return store(to, narrowed(s, number(s, v, where), v, where));
    case form::f64:
      return store(to, number(s, v, where));
    case form::f80:
      return put_long_number(s, to, v, where);
    default:
      return put_character(s, to, v, where);
  }
}

void put_enumeration(const shape& s, std::byte* to, const value& v, const place& where) {
  const auto* text = v.get<std::string>();
  if (!text) return put_scalar(s, s.underlying(), to, v, where);
  for (const auto& e : s.names())
    if (e.name == *text) {
      const value number = s.underlying() == form::boolean ? value(e.value != 0) : value(e.value);
      return put_scalar(s, s.underlying(), to, number, where);
    }
  std::string known;
  for (const auto& e : s.names())
    known += (known.empty() ? "" : ", ") + e.name;
  refuse(where, quoted(*text) + " is no " + s.name()
                    + (known.empty() ? "; give its number" : "; it is one of " + known));
}

void put_duration(const shape& s, std::byte* to, const value& v, const place& where) {
  const auto* text = v.get<std::string>();
  if (!text) refuse(where, "expected a duration like \"250ms\", got " + given(v));
  put_ticks(s, to, parse_duration(*text, s), where);
}

void put_time(const shape& s, std::byte* to, const value& v, const place& where) {
  const auto* text = v.get<std::string>();
  if (!text) refuse(where, "expected a time like \"2026-11-24T10:00:00Z\", got " + given(v));
  put_ticks(s, to, parse_time(*text, s), where);
}

std::uint64_t extent_of(const value& v, const place& where) {
  return integer<std::uint64_t>(shape::simple(form::u64), v, where);
}

}  // namespace berth::detail
