#pragma once
// Waiting: spin while that has paid lately, then sleep.
//
// A sleeping peer costs a wake-up of 10 to 50 µs each way, a spinning waiter costs the processor. So a waiter spins for
// a bounded time and learns: two misses in a row switch spinning off for 16, 32 … 1024 waits. Three facts, all
// measured (numbers: docs/protocol.md, "Ring lane"):
// - after ringing the peer's bell an answer cannot come before the peer's wake-up, so that wait may spin 60 µs; with a
//   shorter budget two sleeping sides never see a hit again;
// - a peer that last ran on this very CPU cannot answer while we spin on it: sleep at once;
// - sched_yield is never called: beside a busy process it costs milliseconds on current kernels.

#include "runtime/base/clock.hpp"
#include "runtime/base/cpu.hpp"

#include <algorithm>
#include <cstdint>

namespace berth::base {

/// State of one waiting thread; not shared.
class waiter {
 public:
  static constexpr std::uint32_t budget_us = 20;
  static constexpr std::uint32_t budget_after_bell_us =
      60;  // below AMD's and Intel's pause-loop exits (about 74 µs)
  static constexpr std::uint32_t off_waits_min = 16;
  static constexpr std::uint32_t off_waits_max = 1024;

  waiter() : pays_(spinning_may_pay() && !has_realtime_policy()) {
    if (pays_) ticks_per_us_ = ticks_per_us();
  }

  /// Looks until `ready()` or until spinning pays no more; returns whether it is ready. False: go to sleep.
  /// `after_bell`: the last thing sent had to wake the peer. `peer_cpu`: where the peer last ran.
  template <class Ready>
  bool spin(Ready&& ready, bool after_bell, std::uint32_t peer_cpu) {
    if (ready()) return true;
    if (!pays_ || peer_cpu == current_cpu()) return false;
    if (off_ > 0) {
      --off_;
      return false;
    }
    const std::uint64_t budget = ticks_per_us_ * (after_bell ? budget_after_bell_us : budget_us);
    const std::uint64_t begun = ticks();
    for (std::uint32_t looks = 1;; ++looks) {
      relax();
      if (ready()) return hit();
      if (looks % 16 == 0 && ticks() - begun > budget) return miss();
    }
  }

  [[nodiscard]] std::uint64_t hits() const noexcept { return hits_; }

  [[nodiscard]] std::uint64_t misses() const noexcept { return misses_; }

 private:
  bool hit() noexcept {
    ++hits_;
    misses_in_row_ = 0;
    off_next_ = off_waits_min;
    return true;
  }

  bool miss() noexcept {
    ++misses_;
    if (++misses_in_row_ >= 2) {
      off_ = off_next_;
      off_next_ = std::min(off_next_ * 2, off_waits_max);
      misses_in_row_ = 1;
    }
    return false;
  }

  std::uint64_t ticks_per_us_ = 1;
  std::uint64_t hits_ = 0;
  std::uint64_t misses_ = 0;
  std::uint32_t off_ = 0;
  std::uint32_t off_next_ = off_waits_min;
  std::uint32_t misses_in_row_ = 0;
  bool pays_;
};

}  // namespace berth::base
