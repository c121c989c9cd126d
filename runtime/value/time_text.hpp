#pragma once
// Durations ("250ms", "1.5s", "1h30min") and points in time (RFC 3339) as text.
//
// A duration's representation counts periods of num/den seconds. Integer representations convert exactly or not at
// all: text finer than the period, or beyond the representation, is refused.

#include <berth/error.hpp>
#include <berth/shape.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace berth::detail {

/// A count of periods as its representation holds it.
using ticks = std::variant<std::int64_t, std::uint64_t, double>;

/// `s` is the shape of the duration: its underlying form and period.
[[nodiscard]] std::string print_duration(const ticks& count, const shape& s);
/// Errors: `invalid` in words ("finer than milliseconds"), without a path.
[[nodiscard]] result<ticks> parse_duration(std::string_view text, const shape& s);

/// "2026-11-24T10:00:00.250Z" with as many digits as the period has; what RFC 3339 cannot say (years beyond 9999,
/// periods that are no power of ten, fractional counts) is "@" and the duration since 1970.
[[nodiscard]] std::string print_time(const ticks& count, const shape& s);
[[nodiscard]] result<ticks> parse_time(std::string_view text, const shape& s);

}  // namespace berth::detail
