#pragma once
// The version of berth: of these headers, and of the library that is loaded.

#include <berth/error.hpp>

/// Of the headers, as SemVer.
#define BERTH_VERSION "0.1.0"

namespace berth {

/// Of the library that is loaded.
[[nodiscard]] BERTH_API const char* version() noexcept;

}  // namespace berth
