#include "runtime/value/time_text.hpp"

#include "runtime/value/text.hpp"

#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>

namespace berth::detail {
namespace {

// 128 bits hold every 64-bit count times every unit exactly; -Wpedantic only minds the keyword.
__extension__ using wide = __int128;

struct unit {
  std::string_view name;
  std::int64_t num, den;  // seconds
};

constexpr std::array units{
    unit{"ns", 1, 1'000'000'000}, unit{"us", 1, 1'000'000}, unit{"µs", 1, 1'000'000},
    unit{"ms", 1, 1000},          unit{"s", 1, 1},          unit{"min", 60, 1},
    unit{"h", 3600, 1},           unit{"d", 86400, 1}};

error_info bad(std::string why) {
  return fail(kind::invalid, "bad_value", std::move(why));
}

std::string unit_of(const shape& s) {
  for (const auto& u : units)
    if (u.num == s.num() && u.den == s.den()) return std::string(u.name);
  return "[" + std::to_string(s.num()) + "/" + std::to_string(s.den()) + "]s";
}

std::string print_count(const ticks& count) {
  return std::visit(
      [](auto n) -> std::string {
        if constexpr (std::is_floating_point_v<decltype(n)>)
          return print_number(n);
        else
          return std::to_string(n);
      },
      count);
}

bool is_floating(const shape& s) {
  return s.underlying() == form::f32 || s.underlying() == form::f64;
}

/// Bounds of an integer form.
std::pair<wide, wide> bounds(form f) {
  switch (f) {
    case form::i8:
      return {std::numeric_limits<std::int8_t>::min(), std::numeric_limits<std::int8_t>::max()};
    case form::i16:
      return {std::numeric_limits<std::int16_t>::min(), std::numeric_limits<std::int16_t>::max()};
    case form::i32:
      return {std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()};
    case form::u8:
      return {0, std::numeric_limits<std::uint8_t>::max()};
    case form::u16:
      return {0, std::numeric_limits<std::uint16_t>::max()};
    case form::u32:
      return {0, std::numeric_limits<std::uint32_t>::max()};
    case form::u64:
      return {0, std::numeric_limits<std::uint64_t>::max()};
    default:
      return {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()};
  }
}

result<ticks> fitted(wide count, form f) {
  const auto [low, high] = bounds(f);
  if (count < low || count > high) return bad("too long for its representation");
  if (f == form::u64) return ticks(static_cast<std::uint64_t>(count));
  return ticks(static_cast<std::int64_t>(count));
}

/// A decimal number as digits and how many of them stand behind the point.
struct decimal {
  wide digits = 0;
  unsigned fraction = 0;
};

/// Takes a decimal off the front of `text`; nothing when there is none or it has more than 27 digits.
std::optional<decimal> take_decimal(std::string_view& text) {
  decimal d;
  std::size_t taken = 0;
  bool point = false;
  for (; !text.empty(); text.remove_prefix(1)) {
    const char c = text.front();
    if (c == '.' && !point && taken > 0) {
      point = true;
    } else if (c >= '0' && c <= '9') {
      if (++taken > 27) return std::nullopt;
      d.digits = d.digits * 10 + (c - '0');
      d.fraction += point ? 1 : 0;
    } else {
      break;
    }
  }
  if (taken == 0 || (point && d.fraction == 0)) return std::nullopt;
  return d;
}

std::optional<unit> take_bracket_unit(std::string_view& text) {
  std::int64_t num = 0;
  std::int64_t den = 0;
  const char* const end = text.data() + text.size();
  auto [slash, bad_num] = std::from_chars(text.data() + 1, end, num);
  if (bad_num != std::errc() || slash == end || *slash != '/') return std::nullopt;
  auto [close, bad_den] = std::from_chars(slash + 1, end, den);
  if (bad_den != std::errc() || end - close < 2 || close[0] != ']' || close[1] != 's')
    return std::nullopt;
  if (num <= 0 || den <= 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(close + 2 - text.data()));
  return unit{{}, num, den};
}

/// Takes a unit off the front of `text`: the longest name that stands there, not followed by a letter.
std::optional<unit> take_unit(std::string_view& text) {
  if (text.starts_with('[')) return take_bracket_unit(text);
  for (const auto& u : units) {
    if (!text.starts_with(u.name)) continue;
    const std::string_view rest = text.substr(u.name.size());
    if (!rest.empty() && ((rest.front() >= 'a' && rest.front() <= 'z'))) continue;
    text = rest;
    return u;
  }
  return std::nullopt;
}

/// `d` units as periods of num/den seconds, if that is a whole number that 128 bits hold.
std::optional<wide> whole_periods(const decimal& d, const unit& u, const shape& s) {
  wide top = d.digits;
  wide bottom = 1;
  for (unsigned i = 0; i < d.fraction; ++i)
    if (__builtin_mul_overflow(bottom, wide{10}, &bottom)) return std::nullopt;
  if (__builtin_mul_overflow(top, wide{u.num}, &top)
      || __builtin_mul_overflow(top, wide{s.den()}, &top)
      || __builtin_mul_overflow(bottom, wide{u.den}, &bottom)
      || __builtin_mul_overflow(bottom, wide{s.num()}, &bottom) || top % bottom != 0)
    return std::nullopt;
  return top / bottom;
}

result<ticks> parse_whole(std::string_view text, const shape& s) {
  const bool negative = text.starts_with('-');
  text.remove_prefix(negative ? 1 : 0);
  wide sum = 0;
  do {
    const auto number = take_decimal(text);
    if (!number) return bad("expected a duration like \"250ms\"");
    const auto u = take_unit(text);
    if (!u) return bad("expected a unit (ns, us, ms, s, min, h, d) behind the number");
    const auto periods = whole_periods(*number, *u, s);
    if (!periods || __builtin_add_overflow(sum, *periods, &sum))
      return bad("not a whole number of " + unit_of(s));
  } while (!text.empty());
  return fitted(negative ? -sum : sum, s.underlying());
}

result<ticks> parse_floating(std::string_view text, const shape& s) {
  double sum = 0;
  const bool negative = text.starts_with('-');
  text.remove_prefix(negative ? 1 : 0);
  do {
    double number = 0;
    std::size_t used = 0;
    if (text.starts_with("NaN") || text.starts_with("Infinity")) {
      used = text.starts_with("NaN") ? 3 : 8;
      number = *parse_number(text.substr(0, used));
    } else {
      const auto [end, why] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (why != std::errc()) return bad("expected a duration like \"1.5s\"");
      used = static_cast<std::size_t>(end - text.data());
    }
    text.remove_prefix(used);
    const auto u = take_unit(text);
    if (!u) return bad("expected a unit (ns, us, ms, s, min, h, d) behind the number");
    if (u->num == s.num() && u->den == s.den())
      sum += number;  // as it is: scaling by one could still round
    else
      sum += number * static_cast<double>(u->num) / static_cast<double>(u->den)
             * static_cast<double>(s.den()) / static_cast<double>(s.num());
  } while (!text.empty());
  return ticks(negative ? -sum : sum);
}

/// Digits behind the point of a second in one period, when that is what the period is.
std::optional<unsigned> fraction_digits(const shape& s) {
  if (s.num() != 1 && s.den() != 1) return std::nullopt;
  unsigned digits = 0;
  std::int64_t den = s.den();
  for (; den % 10 == 0; den /= 10)
    ++digits;
  if (den != 1 || digits > 18) return std::nullopt;
  return digits;
}

constexpr std::int64_t day_seconds = 86400;

/// Days since 1970 of years 0 to 9999, the ones RFC 3339 can write.
bool is_writable(wide seconds) {
  return seconds >= wide{-719528} * day_seconds && seconds < wide{2932897} * day_seconds;
}

std::string padded(std::uint64_t n, std::size_t width) {
  std::string text = std::to_string(n);
  return std::string(width > text.size() ? width - text.size() : 0, '0') + text;
}

std::string calendar_text(std::int64_t seconds) {
  using namespace std::chrono;
  std::int64_t days_since = seconds / day_seconds;
  std::int64_t in_day = seconds % day_seconds;
  if (in_day < 0) {
    in_day += day_seconds;
    --days_since;
  }
  const year_month_day date{sys_days{days{days_since}}};
  return padded(static_cast<std::uint64_t>(static_cast<int>(date.year())), 4) + "-"
         + padded(static_cast<unsigned>(date.month()), 2) + "-"
         + padded(static_cast<unsigned>(date.day()), 2) + "T"
         + padded(static_cast<std::uint64_t>(in_day / 3600), 2) + ":"
         + padded(static_cast<std::uint64_t>(in_day / 60 % 60), 2) + ":"
         + padded(static_cast<std::uint64_t>(in_day % 60), 2);
}

/// Takes `width` digits off the front; nothing when there are fewer, or the number is beyond `max`.
std::optional<unsigned> take_digits(std::string_view& text, std::size_t width, unsigned max) {
  if (text.size() < width) return std::nullopt;
  unsigned n = 0;
  for (std::size_t i = 0; i < width; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    n = n * 10 + static_cast<unsigned>(text[i] - '0');
  }
  text.remove_prefix(width);
  return n <= max ? std::optional(n) : std::nullopt;
}

bool take(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == any_of.npos) return false;
  text.remove_prefix(1);
  return true;
}

/// Seconds since 1970 of "YYYY-MM-DDThh:mm:ss", taken off the front.
std::optional<std::int64_t> take_date_time(std::string_view& text) {
  using namespace std::chrono;
  const auto y = take_digits(text, 4, 9999);
  if (!y || !take(text, "-")) return std::nullopt;
  const auto m = take_digits(text, 2, 12);
  if (!m || !take(text, "-")) return std::nullopt;
  const auto d = take_digits(text, 2, 31);
  if (!d || !take(text, "Tt ")) return std::nullopt;
  const auto hour = take_digits(text, 2, 23);
  if (!hour || !take(text, ":")) return std::nullopt;
  const auto minute = take_digits(text, 2, 59);
  if (!minute || !take(text, ":")) return std::nullopt;
  const auto second = take_digits(text, 2, 59);
  const year_month_day date{year{static_cast<int>(*y)}, month{*m}, day{*d}};
  if (!second || !date.ok()) return std::nullopt;
  return sys_days(date).time_since_epoch().count() * day_seconds + *hour * 3600 + *minute * 60
         + *second;
}

/// Seconds that the offset at the front is ahead of UTC.
std::optional<std::int64_t> take_offset(std::string_view& text) {
  if (take(text, "Zz")) return 0;
  const bool behind = text.starts_with('-');
  if (!take(text, "+-")) return std::nullopt;
  const auto hours = take_digits(text, 2, 23);
  if (!hours || !take(text, ":")) return std::nullopt;
  const auto minutes = take_digits(text, 2, 59);
  if (!minutes) return std::nullopt;
  const std::int64_t ahead = *hours * 3600 + *minutes * 60;
  return behind ? -ahead : ahead;
}

}  // namespace

std::string print_duration(const ticks& count, const shape& s) {
  return print_count(count) + unit_of(s);
}

result<ticks> parse_duration(std::string_view text, const shape& s) {
  return is_floating(s) ? parse_floating(text, s) : parse_whole(text, s);
}

std::string print_time(const ticks& count, const shape& s) {
  const auto digits = fraction_digits(s);
  if (!digits || std::holds_alternative<double>(count)) return "@" + print_duration(count, s);
  const wide n = std::holds_alternative<std::int64_t>(count) ? wide{std::get<std::int64_t>(count)}
                                                             : wide{std::get<std::uint64_t>(count)};
  const wide total = n * s.num();
  wide seconds = total / s.den();
  wide rest = total % s.den();
  if (rest < 0) {
    rest += s.den();
    --seconds;
  }
  if (!is_writable(seconds)) return "@" + print_duration(count, s);
  std::string text = calendar_text(static_cast<std::int64_t>(seconds));
  if (*digits > 0) text += "." + padded(static_cast<std::uint64_t>(rest), *digits);
  return text + "Z";
}

result<ticks> parse_time(std::string_view text, const shape& s) {
  if (text.starts_with('@')) return parse_duration(text.substr(1), s);
  const auto wrong = [] { return bad("expected a time like \"2026-11-24T10:00:00Z\" (RFC 3339)"); };
  auto seconds = take_date_time(text);
  if (!seconds) return wrong();
  decimal rest;
  if (take(text, ".")) {
    const std::size_t before = text.size();
    const auto number = take_decimal(text);
    if (!number || number->fraction != 0) return wrong();
    rest = {number->digits, static_cast<unsigned>(before - text.size())};
  }
  const auto ahead = take_offset(text);
  if (!ahead || !text.empty()) return wrong();
  const std::int64_t utc = *seconds - *ahead;
  if (is_floating(s))
    return ticks((static_cast<double>(utc)
                  + static_cast<double>(rest.digits) / std::pow(10.0, rest.fraction))
                 * static_cast<double>(s.den()) / static_cast<double>(s.num()));
  const unit second{"s", 1, 1};
  const auto whole = whole_periods({wide{utc}, 0}, second, s);
  const auto part = whole_periods(rest, second, s);
  if (!whole || !part) return bad("not a whole number of " + unit_of(s));
  return fitted(*whole + *part, s.underlying());
}

}  // namespace berth::detail
