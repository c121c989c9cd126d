#pragma once
// Whether this process is still the one that made a handle: rings are not inherited by fork, so handles refuse after it.

#include <atomic>
#include <cstdint>

namespace berth::base {

namespace detail {
extern std::atomic<std::uint32_t> fork_count;
}

/// Makes forks count from now on; for whoever makes handles. Idempotent.
void watch_forks() noexcept;

/// Grows by one in every child of fork() once they are watched. Cost: one load.
[[nodiscard]] inline std::uint32_t fork_generation() noexcept {
  return detail::fork_count.load(std::memory_order_relaxed);
}

}  // namespace berth::base
