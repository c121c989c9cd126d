#include "runtime/client/callbacks.hpp"

#include "runtime/client/per_process.hpp"

#include <chrono>

namespace berth::client {
namespace {

// Enough for callbacks that run side by side without waiting for futures; waiting ones do not count.
constexpr std::size_t serving_max = 4;
constexpr auto idle_max = std::chrono::seconds(1);

thread_local bool serves = false;

}  // namespace

callbacks& callbacks::of_process() {
  return per_process<callbacks>();
}

void callbacks::post(void (*run)(void*), void* argument) {
  const std::lock_guard lock(mutex_);
  queue_.push_back({run, argument});
  if (idle_ > 0)
    work_.notify_one();
  else
    ensure_server();
}

void callbacks::ensure_server() {
  if (serving_ >= serving_max) return;
  ++serving_;
  std::thread([this] { serve(); }).detach();
}

void callbacks::leave() {
  if (!serves) return;
  const std::lock_guard lock(mutex_);
  --serving_;
  if (!queue_.empty() && idle_ == 0) ensure_server();
}

void callbacks::back() {
  if (!serves) return;
  const std::lock_guard lock(mutex_);
  ++serving_;
}

void callbacks::serve() {
  serves = true;
  std::unique_lock lock(mutex_);
  for (;;) {
    if (queue_.empty()) {
      ++idle_;
      const bool more = work_.wait_for(lock, idle_max, [&] { return !queue_.empty(); });
      --idle_;
      if (!more) break;
    }
    const item next = queue_.front();
    queue_.pop_front();
    if (!queue_.empty() && idle_ == 0) ensure_server();
    lock.unlock();
    next.run(next.argument);
    lock.lock();
  }
  --serving_;
}

}  // namespace berth::client
