#pragma once
// The outbox: what a link has yet to send because the lane had no room for it, or because it is too large for a frame.
//
// Small frames keep their order. A body or payload beyond the lane's frame limit is a transfer: its frame goes first and
// names the transfer, then its bytes follow in chunks, one transfer's chunk after the other's, and only while small
// frames would find the lane half empty. Frames of a call that has a transfer under way wait for it, so that a stream
// arrives in order. Not thread-safe: used under the channel's send lock.

#include "runtime/net/frame.hpp"
#include "runtime/net/lane.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace berth::net {

/// Bytes to send in chunks, kept alive by `owner`.
struct transfer {
  std::uint32_t id = 0;
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
};

/// One frame with its header, and the transfers that belong to it.
struct queued_frame {
  std::unique_ptr<std::byte[]> bytes;  ///< 16-aligned; header and padded body
  std::size_t size = 0;
  std::vector<transfer> transfers;
  [[nodiscard]] frame_header header() const noexcept;
};

class outbox {
 public:
  /// A fresh id for a transfer; ids are not reused while the link lives (they wrap after four thousand million).
  [[nodiscard]] std::uint32_t next_transfer_id() noexcept {
    return ++last_transfer_ == 0 ? ++last_transfer_ : last_transfer_;
  }

  /// Whether a frame of this call must go through the outbox to keep its place.
  [[nodiscard]] bool holds_back(std::uint64_t call) const noexcept {
    return !frames_.empty() || (!busy_calls_.empty() && busy_calls_.contains(call));
  }

  [[nodiscard]] bool empty() const noexcept { return frames_.empty() && moving_.empty(); }

  [[nodiscard]] std::uint64_t frame_bytes_queued() const noexcept { return frame_bytes_; }

  void add(queued_frame frame);

  /// Moves what the lane takes; returns whether anything moved. The lane is not published.
  bool pump(lane& to) noexcept;

  /// Drops everything (the link has ended).
  void clear() noexcept;

  /// Owners of bytes that are sent or dropped; let them go outside the send lock, they may call back into the link.
  [[nodiscard]] std::vector<std::shared_ptr<const void>> take_owners() noexcept {
    return std::exchange(owners_, {});
  }

 private:
  struct moving {
    transfer what;
    std::uint64_t call = 0;
    std::uint64_t sent = 0;
  };

  struct busy {
    std::size_t transfers = 0;
    std::deque<queued_frame> waiting;
  };

  bool pump_frames(lane& to) noexcept;
  bool pump_transfers(lane& to) noexcept;
  void start_transfers(queued_frame& frame);
  void finish_transfer(moving& done);

  std::deque<queued_frame> frames_;
  std::deque<moving> moving_;  // round robin: front sends, goes to the back
  std::unordered_map<std::uint64_t, busy> busy_calls_;  // calls with transfers under way
  std::vector<std::shared_ptr<const void>> owners_;
  std::uint64_t frame_bytes_ = 0;
  std::uint32_t last_transfer_ = 0;
};

}  // namespace berth::net
