#pragma once
// The processor underneath: where this thread runs, whether spinning may pay here at all, a pause between two looks.

#include <cstdint>
#include <sched.h>

namespace berth::base {

/// One pause between two looks at a shared word (25 ns on Zen, 3 to 50 elsewhere): spins are bounded in time, not in
/// pauses.
inline void relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#endif
}

/// Asks for the cache line at `at`, which another CPU wrote, without waiting for it.
inline void fetch_to_read(const void* at) noexcept {
  __builtin_prefetch(at, 0);
}

/// Asks for the cache line at `at` in order to write it: other CPUs' copies go. A hint; nothing where it is unknown.
inline void fetch_to_write(void* at) noexcept {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" ::"m"(*static_cast<char*>(at)));
#else
  __builtin_prefetch(at, 1);
#endif
}

/// `value`, in a register by itself: keeps the compiler from joining the load of a field with its neighbours'.
template <class T>
[[nodiscard]] inline T loaded_alone(T value) noexcept {
  asm("" : "+r"(value));
  return value;
}

/// The CPU this thread runs on, from memory the kernel keeps up to date (2 ns).
[[nodiscard]] inline std::uint32_t current_cpu() noexcept {
  return static_cast<std::uint32_t>(::sched_getcpu());
}

/// "No CPU known".
inline constexpr std::uint32_t no_cpu = ~std::uint32_t{0};

/// False where a spinner can only hurt: fewer than two CPUs to run on, or a quota below two cores (the control group's
/// throttle turns a spin into a stall of 10 to 100 ms). Read once per process.
[[nodiscard]] bool spinning_may_pay() noexcept;

/// Whether the calling thread has a real-time policy, under which a spinner would starve the peer it waits for.
[[nodiscard]] bool has_realtime_policy() noexcept;

}  // namespace berth::base
