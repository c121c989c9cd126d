#pragma once
// Text forms of bytes and numbers, shared by JSON and the transcoders.

#include <berth/bytes.hpp>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace berth::detail {

/// RFC 4648, with padding.
[[nodiscard]] std::string to_base64(std::span<const std::byte> from);
/// Nothing for text that is no padded base64.
[[nodiscard]] std::optional<bytes> from_base64(std::string_view text);

/// Well-formed UTF-8 as Unicode defines it: shortest forms, no surrogates, up to U+10FFFF.
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

/// The shortest decimal that reads back as the same double; "NaN", "Infinity", "-Infinity".
[[nodiscard]] std::string print_number(double x);
/// All of `text` as a number, or one of the three words; nothing otherwise.
[[nodiscard]] std::optional<double> parse_number(std::string_view text);
[[nodiscard]] std::string print_number(long double x);
[[nodiscard]] std::optional<long double> parse_long_number(std::string_view text);

/// The double that prints as short as `x` does: 0.1f gives 0.1, and reads back as the same float.
[[nodiscard]] double widened(float x);

}  // namespace berth::detail
