#pragma once
// Whether this process is still the one that made a handle: rings are not inherited by fork, so handles refuse after it.

#include <cstdint>

namespace berth::base {

/// Grows by one in every child of fork(). Cost: one load.
[[nodiscard]] std::uint32_t fork_generation() noexcept;

}  // namespace berth::base
