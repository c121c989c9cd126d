#include "runtime/worker/item_flow.hpp"

#include "runtime/net/link.hpp"

#include <utility>

namespace berth::worker {

bool item_flow::take_credit() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return welcome_ > 0 || stopped_; });
  if (stopped_) return false;
  --welcome_;
  return true;
}

void item_flow::grant(std::uint32_t n) {
  const std::lock_guard lock(mutex_);
  const std::uint32_t room = ~std::uint32_t{0} - welcome_;
  welcome_ += n < room ? n : room;
  changed_.notify_all();
}

item_flow::pulled item_flow::pull(net::message& item) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !items_.empty() || ended_ || stopped_; });
  if (stopped_) return pulled::stopped;
  if (items_.empty()) return pulled::end;
  item = std::move(items_.front());
  items_.pop_front();
  ++taken_;
  return pulled::item;
}

std::uint32_t item_flow::taken() {
  const std::lock_guard lock(mutex_);
  // Half the window at a time: one credit frame for many items, and never an empty window while the caller has more.
  if (taken_ < net::link::items_initial / 2) return 0;
  return std::exchange(taken_, 0);
}

bool item_flow::put(net::message item) {
  const std::lock_guard lock(mutex_);
  if (ended_ || items_.size() >= net::link::items_initial) return false;
  items_.push_back(std::move(item));
  changed_.notify_all();
  return true;
}

void item_flow::end() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

void item_flow::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

}  // namespace berth::worker
