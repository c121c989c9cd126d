#pragma once
// Bucket map: which version answers a routing key, as the head laid the tag's buckets out.
//
// The head makes each layout from the one before, so that a key moves only towards a growing share; the client only
// reads it.

#include "runtime/client/verbs.hpp"

#include <berth/error.hpp>
#include <cstdint>
#include <string_view>
#include <vector>

namespace berth::client {

/// A value: ranges of buckets, each with the place of its version in the route's list.
class bucket_map {
 public:
  bucket_map() = default;

  /// Errors: `invalid` (bad_layout) for text that is no gapless layout of 10000 buckets or names a version that the
  /// route does not list. A pinned route (no layout) gives all buckets to its first version.
  [[nodiscard]] static result<bucket_map> of(const verbs::route& route);

  /// Index into the route's versions. Requires a route with versions. Cost: a search over at most 16-odd ranges.
  [[nodiscard]] std::uint32_t version_at(std::uint32_t bucket) const noexcept;

 private:
  struct range {
    std::uint32_t end;
    std::uint32_t version;
  };

  std::vector<range> ranges_;
};

}  // namespace berth::client
