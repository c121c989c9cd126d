#pragma once
// Seen order: telling the thread sanitizer of order it cannot see.
//
// Two ends of a ring in one process map the same memory at two addresses. The positions they exchange there order
// everything before a frame's publication ahead of everything after its arrival, but the sanitizer knows memory by its
// address and would report each test that has both ends. Elsewhere these compile to nothing.

#if defined(__SANITIZE_THREAD__)
#define BERTH_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BERTH_THREAD_SANITIZER 1
#endif
#endif

#ifdef BERTH_THREAD_SANITIZER
extern "C" {
void __tsan_acquire(void* at);
void __tsan_release(void* at);
}
#endif

namespace berth::base {

#ifdef BERTH_THREAD_SANITIZER
namespace detail {
inline char ways[2];
}  // namespace detail

/// What this thread did so far comes before what follows `order_arrived` of the same `way` (0 or 1).
inline void order_published(unsigned way) noexcept {
  __tsan_release(&detail::ways[way & 1]);
}

/// The other half.
inline void order_arrived(unsigned way) noexcept {
  __tsan_acquire(&detail::ways[way & 1]);
}
#else
inline void order_published(unsigned) noexcept {}

inline void order_arrived(unsigned) noexcept {}
#endif

}  // namespace berth::base
