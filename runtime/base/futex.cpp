#include "runtime/base/futex.hpp"

#include <cerrno>
#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace berth::base {

// The steady clock is CLOCK_MONOTONIC, which FUTEX_WAIT_BITSET takes as an absolute time.
bool futex_wait(const std::atomic<std::uint32_t>& word,
                std::uint32_t expected,
                time_point deadline) noexcept {
  timespec until{};
  if (deadline != never) {
    const auto ns = deadline.time_since_epoch().count();
    if (ns <= 0) return false;
    until.tv_sec = static_cast<time_t>(ns / 1'000'000'000);
    until.tv_nsec = static_cast<long>(ns % 1'000'000'000);
  }
  const long answer =
      ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, expected,
                deadline == never ? nullptr : &until, nullptr, FUTEX_BITSET_MATCH_ANY);
  return !(answer < 0 && errno == ETIMEDOUT);
}

void futex_wake(const std::atomic<std::uint32_t>& word, int count) noexcept {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

}  // namespace berth::base
