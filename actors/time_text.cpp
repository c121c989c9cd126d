#include "actors/time_text.hpp"

#include <charconv>
#include <chrono>
#include <fmt/format.h>

namespace berth::actors {
namespace {

using std::chrono::microseconds;

/// Reads exactly `digits` digits and moves on.
bool take_number(std::string_view& text, std::size_t digits, int& out) {
  if (text.size() < digits) return false;
  auto [end, problem] = std::from_chars(text.data(), text.data() + digits, out);
  if (problem != std::errc{} || end != text.data() + digits || text.front() == '-') return false;
  text.remove_prefix(digits);
  return true;
}

bool take(std::string_view& text, std::string_view one_of) {
  if (text.empty() || one_of.find(text.front()) == one_of.npos) return false;
  text.remove_prefix(1);
  return true;
}

bool take_fraction(std::string_view& text, std::int64_t& us) {
  if (!take(text, ".")) return true;
  std::int64_t scale = 100000;
  bool any = false;
  for (; !text.empty() && text.front() >= '0' && text.front() <= '9';
       text.remove_prefix(1), scale /= 10) {
    us += (text.front() - '0') * scale;
    any = true;
  }
  return any;
}

bool take_offset(std::string_view& text, std::int64_t& minutes) {
  if (take(text, "Zz")) return true;
  if (text.empty()) return false;
  bool west = text.front() == '-';
  int h = 0, m = 0;
  if (!take(text, "+-") || !take_number(text, 2, h) || !take(text, ":") || !take_number(text, 2, m))
    return false;
  minutes = (west ? -1 : 1) * (h * 60 + m);
  return h < 24 && m < 60;
}

}  // namespace

std::string time_text(std::int64_t us) {
  using namespace std::chrono;
  sys_time<microseconds> at{microseconds(us)};
  auto day = floor<days>(at);
  year_month_day date(day);
  hh_mm_ss<microseconds> time(at - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     time.hours().count(), time.minutes().count(), time.seconds().count(),
                     time.subseconds().count());
}

result<std::int64_t> parse_time(std::string_view whole) {
  using namespace std::chrono;
  auto text = whole;
  int y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0;
  std::int64_t us = 0, minutes = 0;
  bool ok = take_number(text, 4, y) && take(text, "-") && take_number(text, 2, mo)
            && take(text, "-") && take_number(text, 2, d) && take(text, "Tt ")
            && take_number(text, 2, h) && take(text, ":") && take_number(text, 2, mi)
            && take(text, ":") && take_number(text, 2, s) && take_fraction(text, us)
            && take_offset(text, minutes) && text.empty();
  year_month_day date{year(y), month(static_cast<unsigned>(mo)), day(static_cast<unsigned>(d))};
  if (!ok || !date.ok() || h > 23 || mi > 59 || s > 60)
    return fail(kind::invalid, "bad_time",
                fmt::format("'{}' is no time; write RFC 3339, as 2026-11-24T18:30:00Z",
                            whole.substr(0, 40)));
  auto seconds = sys_days(date).time_since_epoch() / std::chrono::seconds(1) + h * 3600 + mi * 60
                 + s - minutes * 60;
  return seconds * 1000000 + us;
}

}  // namespace berth::actors
