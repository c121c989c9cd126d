#pragma once
// Restart budget: how often something may be started again before its supervisor gives up.
//
// A process that dies once was unlucky; one that dies again and again will not get better by being started, and hides
// the reason. Pure: the clock is passed in.

#include <chrono>
#include <cstddef>
#include <deque>

namespace berth::process {

class restart_budget {
 public:
  using time = std::chrono::steady_clock::time_point;

  /// `restarts` within any `window`.
  restart_budget(std::size_t restarts, std::chrono::milliseconds window)
      : restarts_(restarts), window_(window) {}

  /// Takes one restart from the budget; false when there is none left.
  [[nodiscard]] bool take(time now) {
    while (!taken_.empty() && now - taken_.front() >= window_)
      taken_.pop_front();
    if (taken_.size() >= restarts_) return false;
    taken_.push_back(now);
    return true;
  }

 private:
  std::size_t restarts_;
  std::chrono::milliseconds window_;
  std::deque<time> taken_;
};

}  // namespace berth::process
