#pragma once
// Reference: what a caller writes to say which version it means.
//
//   name            the tag `latest`          name@prod          a tag
//   name@7          a numbered version        name@sha256:<64>   the version of that manifest
//   name.method@…   one method of a service class
//
// A name is one to eight segments joined by '/', compared byte for byte. All parts are bounded, so that a reference
// from a stranger costs nothing.

#include <berth/error.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace berth::registry {

inline constexpr std::size_t name_bytes_max = 255;
inline constexpr std::size_t segment_bytes_max = 64;
inline constexpr std::size_t segments_max = 8;
inline constexpr std::size_t tag_bytes_max = 64;
inline constexpr std::size_t method_bytes_max = 128;

/// Follows the tag of that name.
struct by_tag {
  std::string tag;
  friend bool operator==(const by_tag&, const by_tag&) = default;
};

/// Pinned to one numbered version.
struct by_number {
  std::uint32_t number = 0;
  friend bool operator==(const by_number&, const by_number&) = default;
};

/// Pinned to the version whose manifest has this digest (64 lower-case hex digits).
struct by_digest {
  std::string digest;
  friend bool operator==(const by_digest&, const by_digest&) = default;
};

/// A parsed reference. A value.
struct ref {
  std::string name;
  std::string method;  ///< empty when none was written
  std::variant<by_tag, by_number, by_digest> which = by_tag{"latest"};

  [[nodiscard]] bool pinned() const { return !std::holds_alternative<by_tag>(which); }

  friend bool operator==(const ref&, const ref&) = default;
};

/// Reads a reference. Errors: `invalid` (bad_ref) with the part that is wrong and what would be right.
[[nodiscard]] result<ref> parse_ref(std::string_view text);

/// The text that `parse_ref` reads back; `@latest` is written out.
[[nodiscard]] std::string to_string(const ref& r);

/// Errors: `invalid` (bad_name).
[[nodiscard]] result<void> check_name(std::string_view name);
/// Errors: `invalid` (bad_tag). A tag starts with a letter, so that it is never taken for a number or a digest.
[[nodiscard]] result<void> check_tag(std::string_view tag);

/// The candidate nearest to `word` by edits (insert, delete, replace, swap of neighbours), or an empty text when none
/// is near: at most a third of the word's length, and at least one edit is always allowed. The longest common last
/// segment wins ties. Cost: O(candidates x length^2) at worst, far off lengths are skipped.
[[nodiscard]] std::string nearest(std::string_view word,
                                  std::span<const std::string_view> candidates);

}  // namespace berth::registry
