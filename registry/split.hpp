#pragma once
// Split: how a tag shares its calls among versions, and which keys go where.
//
// Weights are in 1/10000 and add up to 10000; each stands for that many of the 10000 buckets. Which buckets a version
// has is the split's layout. A new layout is always made from the old one, so that only shrinking versions give
// buckets and only growing ones take them: a key moves only when it must, and only towards a growing share. A canary
// that grows, shrinks and grows again gets the same keys back first.

#include "runtime/base/bucket.hpp"

#include <berth/error.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace berth::registry {

inline constexpr std::uint32_t weight_total = base::bucket_count;
inline constexpr std::size_t parts_max = 16;

/// One version's share of a split.
struct part {
  std::uint32_t version = 0;
  std::uint32_t weight = 0;
  friend bool operator==(const part&, const part&) = default;
};

/// Buckets `from` (included) to `to` (excluded) belong to `version`.
struct bucket_range {
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  std::uint32_t version = 0;
  friend bool operator==(const bucket_range&, const bucket_range&) = default;
};

/// All buckets of a tag, ascending, without gaps; neighbours differ in version. A value.
class layout {
 public:
  /// An empty layout: the tag does not exist yet.
  layout() = default;

  /// The layout for `parts` that moves the fewest buckets away from this one. `parts` has passed `check_split`.
  [[nodiscard]] layout moved_to(const std::vector<part>& parts) const;

  /// The version that answers `bucket` (below 10000). Requires a layout that is not empty.
  [[nodiscard]] std::uint32_t version_of(std::uint32_t bucket) const;

  [[nodiscard]] const std::vector<bucket_range>& ranges() const { return ranges_; }

  [[nodiscard]] bool empty() const { return ranges_.empty(); }

  /// "0-9500:7,9500-10000:8"; what the change log keeps.
  [[nodiscard]] std::string to_string() const;
  /// Errors: `invalid` (bad_layout) for gaps, overlaps, a sum that is not 10000, or another grammar.
  [[nodiscard]] static result<layout> parse(std::string_view text);

  friend bool operator==(const layout&, const layout&) = default;

 private:
  explicit layout(std::vector<bucket_range> ranges) : ranges_(std::move(ranges)) {}

  std::vector<bucket_range> ranges_;
};

/// Errors: `invalid` (bad_split) when empty, more than 16 parts, a version twice, a weight of 0, or another sum.
[[nodiscard]] result<void> check_split(const std::vector<part>& parts);

/// Ascending by version, as the change log keeps it.
[[nodiscard]] std::vector<part> sorted(std::vector<part> parts);

/// "7:9500,8:500", and back. Errors of parsing: `invalid` (bad_split); the sum is not checked.
[[nodiscard]] std::string to_string(const std::vector<part>& parts);
[[nodiscard]] result<std::vector<part>> parse_parts(std::string_view text);

}  // namespace berth::registry
