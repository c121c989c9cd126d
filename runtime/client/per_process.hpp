#pragma once
// Per process: one object a process, and another one in each child of fork(), where the threads of the first are not.

#include "runtime/base/fork.hpp"

#include <atomic>
#include <mutex>

namespace berth::client {

/// The process's `T`, made on first use and never destroyed: its threads may run while statics end.
template <class T>
T& per_process() {
  struct made {
    std::uint32_t process;
    T object;
  };

  static std::atomic<made*> current{nullptr};
  const auto process = base::fork_generation();
  auto* known = current.load(std::memory_order_acquire);
  while (known == nullptr || known->process != process) {
    auto* fresh = new made{process, {}};
    if (current.compare_exchange_strong(known, fresh, std::memory_order_acq_rel))
      return fresh->object;
    delete fresh;
  }
  return known->object;
}

}  // namespace berth::client
