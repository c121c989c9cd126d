#include "runtime/base/fork.hpp"

#include <atomic>
#include <pthread.h>

namespace berth::base {
namespace {

std::atomic<std::uint32_t> generation{0};

void count_child() {
  generation.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

std::uint32_t fork_generation() noexcept {
  static const int registered = ::pthread_atfork(nullptr, nullptr, count_child);
  static_cast<void>(registered);
  return generation.load(std::memory_order_relaxed);
}

}  // namespace berth::base
