#include "runtime/base/fork.hpp"

#include <pthread.h>

namespace berth::base {

std::atomic<std::uint32_t> detail::fork_count{0};

namespace {

void count_child() {
  detail::fork_count.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

void watch_forks() noexcept {
  static const int registered = ::pthread_atfork(nullptr, nullptr, count_child);
  static_cast<void>(registered);
}

}  // namespace berth::base
