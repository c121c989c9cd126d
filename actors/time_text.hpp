#pragma once
// Times as people read them: RFC 3339, UTC, microseconds.

#include <berth/error.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace berth::actors {

/// "2026-11-24T23:59:59.000001Z".
[[nodiscard]] std::string time_text(std::int64_t us);

/// Reads RFC 3339 with 'Z' or an offset, with or without a fraction. Errors: `invalid` (bad_time).
[[nodiscard]] result<std::int64_t> parse_time(std::string_view text);

}  // namespace berth::actors
