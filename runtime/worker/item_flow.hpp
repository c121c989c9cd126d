#pragma once
// Item flow: the streams of one call, and the credits that hold the faster side back.

#include "runtime/base/clock.hpp"
#include "runtime/net/message.hpp"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>

namespace berth::worker {

/// A resource of one call, shared by the thread that runs it and the threads that read its link. Threads: any.
class item_flow {
 public:
  /// `items_welcome`: items that may be sent before the caller grants more.
  explicit item_flow(std::uint32_t items_welcome) : welcome_(items_welcome) {}

  // ---- results, towards the caller

  /// Takes one credit, waiting for it. False: the call was stopped meanwhile.
  bool take_credit();
  void grant(std::uint32_t n);

  // ---- items of the caller's stream

  enum class pulled : std::uint8_t { item, end, stopped };

  /// Waits for the caller's next item.
  pulled pull(net::message& item);
  /// How many items were taken since the last call of this function: what may be granted to the caller.
  std::uint32_t taken();
  /// False: the caller sent more items than it was granted.
  [[nodiscard]] bool put(net::message item);
  void end();

  /// The call was cancelled, its caller has gone, or its deadline has passed: whoever waits returns.
  void stop();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint32_t welcome_;
  std::deque<net::message> items_;
  std::uint32_t taken_ = 0;
  bool ended_ = false;
  bool stopped_ = false;
};

}  // namespace berth::worker
