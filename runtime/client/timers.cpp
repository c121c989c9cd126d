#include "runtime/client/timers.hpp"

#include "runtime/client/per_process.hpp"

#include <algorithm>
#include <thread>

namespace berth::client {

timers& timers::of_process() {
  return per_process<timers>();
}

std::uint64_t timers::add(base::time_point when, expiring& what) {
  const std::lock_guard lock(mutex_);
  if (!started_) {
    started_ = true;
    std::thread([this] { serve(); }).detach();
  }
  const auto id = ++ids_;
  due_.emplace(when, std::pair(id, &what));
  changed_.notify_all();
  return id;
}

void timers::take_back(std::uint64_t id) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return expiring_now_ != id; });
  erase(id);
}

void timers::erase(std::uint64_t id) {
  const auto at = std::find_if(due_.begin(), due_.end(),
                               [&](const auto& one) { return one.second.first == id; });
  if (at != due_.end()) due_.erase(at);
}

void timers::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (due_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto first = due_.begin();
    if (base::steady::now() < first->first) {
      changed_.wait_until(lock, first->first);
      continue;
    }
    const auto [id, what] = first->second;
    due_.erase(first);
    expiring_now_ = id;
    lock.unlock();
    const auto again = what->expire();
    lock.lock();
    if (again != base::never) due_.emplace(again, std::pair(id, what));
    expiring_now_ = 0;
    changed_.notify_all();
  }
}

}  // namespace berth::client
