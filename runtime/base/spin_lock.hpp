#pragma once
// A lock for sections of tens of nanoseconds inside one process; never in shared memory.

#include "runtime/base/cpu.hpp"
#include "runtime/base/futex.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>

namespace berth::base {

/// Spins a little, then sleeps: the holder may have been descheduled. Satisfies BasicLockable. Unlocking is a plain
/// store (an exchange would cost as much as the section); so a sleeper may miss its wake-up, and looks again after a
/// millisecond at most.
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
    word_.store(0, std::memory_order_release);
    if (sleepers_.load(std::memory_order_relaxed) != 0) futex_wake(word_, 1);
  }

 private:
  void lock_slowly() noexcept {
    for (int looks = 0; looks < 200; ++looks) {  // about 5 µs
      relax();
      if (word_.load(std::memory_order_relaxed) == 0 && try_lock()) return;
    }
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    while (!try_lock())
      futex_wait(word_, 1, after(std::chrono::milliseconds(1)));
    sleepers_.fetch_sub(1, std::memory_order_relaxed);
  }

  std::atomic<std::uint32_t> word_{0};  // 0 free, 1 held
  std::atomic<std::uint32_t> sleepers_{0};
};

}  // namespace berth::base
