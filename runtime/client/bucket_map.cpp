#include "runtime/client/bucket_map.hpp"

#include "runtime/base/bucket.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

namespace berth::client {
namespace {

/// Reads a number and the `mark` behind it off the front of `text`; mark 0 stands for the end.
std::optional<std::uint32_t> take_number(std::string_view& text, char mark) {
  std::uint32_t number = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (wrong != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (mark == 0) return number;
  if (text.empty() || text.front() != mark) return std::nullopt;
  text.remove_prefix(1);
  return number;
}

error_info bad_layout(const verbs::route& route) {
  return fail(kind::invalid, "bad_layout",
              "the head sent \"" + route.layout + "\" as bucket layout of " + route.name + "@"
                  + route.tag + "; head and client are of versions that do not fit");
}

}  // namespace

result<bucket_map> bucket_map::of(const verbs::route& route) {
  bucket_map map;
  if (route.layout.empty()) {
    map.ranges_.push_back({base::bucket_count, 0});
    return map;
  }
  std::string_view rest = route.layout;
  std::uint32_t covered = 0;
  while (covered < base::bucket_count) {
    const auto from = take_number(rest, '-');
    const auto to = from ? take_number(rest, ':') : std::nullopt;
    const auto version = to ? take_number(rest, 0) : std::nullopt;
    if (!version || *from != covered || *to <= *from || *to > base::bucket_count)
      return bad_layout(route);
    const auto at = std::find_if(route.versions.begin(), route.versions.end(),
                                 [&](const verbs::served& one) { return one.version == *version; });
    if (at == route.versions.end()) return bad_layout(route);
    map.ranges_.push_back({*to, static_cast<std::uint32_t>(at - route.versions.begin())});
    covered = *to;
    if (covered == base::bucket_count) break;
    if (rest.empty() || rest.front() != ',') return bad_layout(route);
    rest.remove_prefix(1);
  }
  if (!rest.empty()) return bad_layout(route);
  return map;
}

std::uint32_t bucket_map::version_at(std::uint32_t bucket) const noexcept {
  for (const auto& range : ranges_)
    if (bucket < range.end) return range.version;
  return 0;
}

}  // namespace berth::client
