#pragma once
// What a person may write for a number, character, enumeration, duration or time, and how a refusal reads.
//
// The leaves of the walk that encodes a dynamic value (hot_encode.cpp): each writes one fixed-size value to memory that
// is already zero, or throws `invalid` (`bad_value`) with the path to it.

#include <berth/shape.hpp>
#include <berth/value.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace berth::detail {

/// Where in the caller's value the walk is; lives on its stack.
struct place {
  const place* up = nullptr;
  std::string_view name;  ///< of a member or parameter; empty for an element
  std::uint64_t index = 0;

  /// "pixels[3].label"; empty at the root.
  [[nodiscard]] std::string path() const;
};

/// Throws `why`, behind the path.
[[noreturn]] void refuse(const place& at, const std::string& why);
/// "expected int, got text …".
[[noreturn]] void refuse_type(const place& at, const shape& s, const value& v);
/// The value in words: "text \"x\"", "integer 5", "list".
[[nodiscard]] std::string given(const value& v);
/// In quotation marks, cut after 40 bytes.
[[nodiscard]] std::string quoted(std::string_view text);

/// Writes a value of the scalar form `f`; `s` is what messages call the type.
void put_scalar(const shape& s, form f, std::byte* to, const value& v, const place& where);
void put_enumeration(const shape& s, std::byte* to, const value& v, const place& where);
void put_duration(const shape& s, std::byte* to, const value& v, const place& where);
void put_time(const shape& s, std::byte* to, const value& v, const place& where);

/// One extent of a tensor.
[[nodiscard]] std::uint64_t extent_of(const value& v, const place& where);

}  // namespace berth::detail
