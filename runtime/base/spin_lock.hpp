#pragma once
// A lock for sections of tens of nanoseconds inside one process; never in shared memory.

#include "runtime/base/cpu.hpp"
#include "runtime/base/futex.hpp"

#include <atomic>

namespace berth::base {

/// Spins a little, then sleeps: the holder may have been descheduled. Satisfies BasicLockable.
class spin_lock {
 public:
  void lock() noexcept {
    std::uint32_t free = 0;
    if (word_.compare_exchange_strong(free, 1, std::memory_order_acquire)) return;
    lock_slowly();
  }

  [[nodiscard]] bool try_lock() noexcept {
    std::uint32_t free = 0;
    return word_.compare_exchange_strong(free, 1, std::memory_order_acquire);
  }

  void unlock() noexcept {
    if (word_.exchange(0, std::memory_order_release) == 2) futex_wake(word_, 1);
  }

 private:
  void lock_slowly() noexcept {
    for (int looks = 0; looks < 200; ++looks) {  // about 5 µs
      relax();
      if (word_.load(std::memory_order_relaxed) == 0 && try_lock()) return;
    }
    while (word_.exchange(2, std::memory_order_acquire) != 0)
      futex_wait(word_, 2, never);
  }

  std::atomic<std::uint32_t> word_{0};  // 0 free, 1 held, 2 held and somebody sleeps
};

}  // namespace berth::base
