#pragma once
// The waiting rule of the floors, the same as the links': spin 20 µs, 60 µs after ringing a bell, not at all when the
// peer last ran on this CPU; two misses in a row switch spinning off for 16, 32 … 1024 waits.

#include <algorithm>
#include <cstdint>
#include <sched.h>
#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace berth::bench {

inline std::uint64_t clock_ns() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000
         + static_cast<std::uint64_t>(t.tv_nsec);
}

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

inline std::uint64_t cheap_ticks() {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return clock_ns();
#endif
}

inline std::uint64_t cheap_ticks_per_us() {
  static const std::uint64_t measured = [] {
    const auto t0 = clock_ns();
    const auto c0 = cheap_ticks();
    while (clock_ns() - t0 < 2'000'000) {
    }
    return std::max<std::uint64_t>(1, (cheap_ticks() - c0) * 1000 / (clock_ns() - t0));
  }();
  return measured;
}

class spinner {
 public:
  template <class Ready>
  bool wait(Ready&& ready, bool after_bell, std::uint32_t peer_cpu) {
    if (ready()) return true;
    if (peer_cpu == static_cast<std::uint32_t>(::sched_getcpu())) return false;
    if (off_ > 0) {
      --off_;
      return false;
    }
    const std::uint64_t budget = per_us_ * (after_bell ? 60 : 20);
    const std::uint64_t begun = cheap_ticks();
    for (unsigned looks = 1;; ++looks) {
      relax();
      if (ready()) {
        misses_ = 0;
        next_ = 16;
        return true;
      }
      if (looks % 16 == 0 && cheap_ticks() - begun > budget) break;
    }
    if (++misses_ >= 2) {
      off_ = next_;
      next_ = std::min(next_ * 2, 1024U);
      misses_ = 1;
    }
    return false;
  }

 private:
  std::uint64_t per_us_ = cheap_ticks_per_us();
  unsigned off_ = 0;
  unsigned next_ = 16;
  unsigned misses_ = 0;
};

}  // namespace berth::bench
