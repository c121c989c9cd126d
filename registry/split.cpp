#include "registry/split.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <map>
#include <span>

namespace berth::registry {
namespace {

constexpr std::uint32_t nobody = 0;
using bucket_owners = std::array<std::uint32_t, weight_total>;

std::uint32_t weight_of(const std::vector<part>& parts, std::uint32_t version) {
  for (const auto& one : parts)
    if (one.version == version) return one.weight;
  return 0;
}

/// Frees buckets of every version that has more than its new weight. The newest version gives its lowest buckets and
/// all others their highest: then a canary beside one older version always is the top end of the buckets.
void release(bucket_owners& owners, const std::vector<part>& parts) {
  std::map<std::uint32_t, std::uint32_t> held;
  for (auto owner : owners)
    if (owner != nobody) ++held[owner];
  if (held.empty()) return;
  std::uint32_t newest = held.rbegin()->first;
  for (const auto& one : parts)
    newest = std::max(newest, one.version);
  for (const auto& [who, count] : held) {
    const auto version = who;  // a binding cannot be captured
    auto keep = weight_of(parts, version);
    auto give = [&, left = count > keep ? count - keep : 0](std::uint32_t& owner) mutable {
      if (left == 0 || owner != version) return;
      owner = nobody;
      --left;
    };
    if (version == newest)
      std::for_each(owners.begin(), owners.end(), give);
    else
      std::for_each(owners.rbegin(), owners.rend(), give);
  }
}

/// Hands the free buckets out: from the top, newest version first.
void take(bucket_owners& owners, std::vector<part> parts) {
  for (auto owner : owners)
    for (auto& one : parts)
      if (one.version == owner) --one.weight;
  std::sort(parts.begin(), parts.end(),
            [](const part& a, const part& b) { return a.version > b.version; });
  auto next = parts.begin();
  for (auto owner = owners.rbegin(); owner != owners.rend(); ++owner) {
    if (*owner != nobody) continue;
    while (next != parts.end() && next->weight == 0)
      ++next;
    if (next == parts.end()) return;
    *owner = next->version;
    --next->weight;
  }
}

std::vector<bucket_range> ranges_of(const bucket_owners& owners) {
  std::vector<bucket_range> out;
  for (std::uint32_t bucket = 0; bucket < weight_total; ++bucket) {
    if (!out.empty() && out.back().version == owners[bucket])
      out.back().to = bucket + 1;
    else
      out.push_back({bucket, bucket + 1, owners[bucket]});
  }
  return out;
}

/// Reads "N<stop>N<stop>…": one number per character of `stops`, the last at the end of the text.
bool read_numbers(std::string_view text, std::string_view stops, std::span<std::uint32_t> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), out[i]);
    if (problem != std::errc{}) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (i == stops.size()) return text.empty();
    if (text.empty() || text.front() != stops[i]) return false;
    text.remove_prefix(1);
  }
  return false;
}

template <class Read>
bool read_list(std::string_view text, std::size_t items_max, Read&& read) {
  for (std::size_t items = 0; items < items_max; ++items) {
    auto comma = text.find(',');
    if (!read(text.substr(0, comma))) return false;
    if (comma == text.npos) return true;
    text.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace

layout layout::moved_to(const std::vector<part>& parts) const {
  bucket_owners owners{};
  for (const auto& range : ranges_)
    std::fill(owners.begin() + range.from, owners.begin() + range.to, range.version);
  release(owners, parts);
  take(owners, parts);
  return layout(ranges_of(owners));
}

std::uint32_t layout::version_of(std::uint32_t bucket) const {
  auto after =
      std::upper_bound(ranges_.begin(), ranges_.end(), bucket,
                       [](std::uint32_t b, const bucket_range& range) { return b < range.to; });
  return after == ranges_.end() ? nobody : after->version;
}

std::string layout::to_string() const {
  std::string text;
  for (const auto& range : ranges_)
    text += fmt::format("{}{}-{}:{}", text.empty() ? "" : ",", range.from, range.to, range.version);
  return text;
}

result<layout> layout::parse(std::string_view text) {
  std::vector<bucket_range> ranges;
  std::uint32_t expected = 0;
  bool ok = read_list(text, weight_total, [&](std::string_view item) {
    std::array<std::uint32_t, 3> n{};
    if (!read_numbers(item, "-:", n) || n[0] != expected || n[1] <= n[0] || n[1] > weight_total
        || n[2] == nobody)
      return false;
    expected = n[1];
    ranges.push_back({n[0], n[1], n[2]});
    return true;
  });
  if (!ok || expected != weight_total)
    return fail(kind::invalid, "bad_layout",
                fmt::format("'{}' is no layout of 10000 buckets", text.substr(0, 80)));
  return layout(std::move(ranges));
}

result<void> check_split(const std::vector<part>& parts) {
  auto bad = [](std::string why) {
    return fail(kind::invalid, "bad_split", "this split cannot be: " + why);
  };
  if (parts.empty()) return bad("it names no version");
  if (parts.size() > parts_max)
    return bad(fmt::format("it has {} parts, {} are possible", parts.size(), parts_max));
  std::uint64_t sum = 0;
  std::vector<std::uint32_t> seen;
  for (const auto& one : parts) {
    if (one.version == 0) return bad("versions are numbered from 1");
    if (one.weight == 0)
      return bad(fmt::format("version {} has weight 0; leave it out instead", one.version));
    if (std::find(seen.begin(), seen.end(), one.version) != seen.end())
      return bad(fmt::format("version {} is named twice", one.version));
    seen.push_back(one.version);
    sum += one.weight;
  }
  if (sum != weight_total)
    return bad(fmt::format("the weights add up to {}, not to {} (100 %)", sum, weight_total));
  return {};
}

std::vector<part> sorted(std::vector<part> parts) {
  std::sort(parts.begin(), parts.end(),
            [](const part& a, const part& b) { return a.version < b.version; });
  return parts;
}

std::string to_string(const std::vector<part>& parts) {
  std::string text;
  for (const auto& one : parts)
    text += fmt::format("{}{}:{}", text.empty() ? "" : ",", one.version, one.weight);
  return text;
}

result<std::vector<part>> parse_parts(std::string_view text) {
  std::vector<part> parts;
  if (text.empty()) return parts;
  bool ok = read_list(text, parts_max, [&](std::string_view item) {
    std::array<std::uint32_t, 2> n{};
    if (!read_numbers(item, ":", n)) return false;
    parts.push_back({n[0], n[1]});
    return true;
  });
  if (!ok)
    return fail(kind::invalid, "bad_split", fmt::format("'{}' is no split", text.substr(0, 80)));
  return parts;
}

}  // namespace berth::registry
