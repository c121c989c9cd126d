#pragma once
// Ended events: listeners of a call whose slot lies with its waiter.
//
// A link says "done" before it calls `on_done`, so that a waiter is never behind a listener. Whoever has both must let the
// listener finish before the slot goes.

#include "runtime/net/link.hpp"

#include <atomic>
#include <cstdint>

namespace berth::client {

class ended_events : public net::call_events {
 public:
  /// Before each call of the slot.
  void begin() noexcept { ended_.store(0, std::memory_order_relaxed); }

  /// Returns once the link touches slot and listener no more. For a call that was sent and is done.
  void await_end() noexcept { ended_.wait(0, std::memory_order_acquire); }

  void on_done(net::pending& /*call*/) noexcept override {
    ended_.store(1, std::memory_order_release);
    ended_.notify_all();
  }

 private:
  std::atomic<std::uint32_t> ended_{0};
};

/// Whether a done slot's listener is told so: calls that were refused, timed out or abandoned end without it.
[[nodiscard]] inline bool tells_its_end(const net::pending& slot) noexcept {
  return slot.how() == net::completion::answered || slot.how() == net::completion::lost;
}

/// Lets go of a call and of its listener.
inline void let_go(net::link& over, net::pending& slot, ended_events& events) noexcept {
  over.abandon(slot);
  if (tells_its_end(slot)) events.await_end();
}

}  // namespace berth::client
