#pragma once
// Lane memory: payloads as the codec knows them (an owner with bytes) and as a lane carries them (bytes, perhaps in a
// shared segment), each made from the other without a copy.

#include "runtime/base/segment.hpp"

#include <atomic>
#include <berth/bytes.hpp>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

namespace berth::detail {

/// A lane's payload behind the codec's interface: a received one, or one made in a shared segment of ours.
class lane_memory final : public memory {
 public:
  /// A received payload: read-only.
  explicit lane_memory(base::external received) noexcept
      : payload_(std::move(received)), frozen_(true) {}

  /// Memory made here, of `bytes` bytes, written until it is sent.
  lane_memory(std::shared_ptr<base::segment> made, std::uint64_t bytes) noexcept
      : writable_(made->writable()), frozen_(false) {
    payload_.bytes = {made->data(), bytes};
    payload_.shared = std::move(made);
  }

  [[nodiscard]] std::byte* data() const noexcept override {
    return writable_ != nullptr ? writable_ : const_cast<std::byte*>(payload_.bytes.data());
  }

  [[nodiscard]] std::uint64_t size() const noexcept override { return payload_.bytes.size(); }

  [[nodiscard]] int segment() const noexcept override {
    return payload_.shared ? payload_.shared->fd() : -1;
  }

  void freeze() noexcept override { frozen_.store(true, std::memory_order_release); }

  [[nodiscard]] bool frozen() const noexcept override {
    return frozen_.load(std::memory_order_acquire);
  }

  [[nodiscard]] const base::external& payload() const noexcept { return payload_; }

 private:
  base::external payload_;
  std::byte* writable_ = nullptr;
  std::atomic<bool> frozen_;
};

/// A received payload for the codec.
[[nodiscard]] inline external from_lane(const base::external& received) {
  auto owner = std::make_shared<lane_memory>(received);
  return {received.bytes.data(), received.bytes.size(), std::move(owner)};
}

/// A payload to send. Memory of a shared segment keeps it, other owned memory is kept alive by its owner, borrowed
/// memory is copied by the link.
[[nodiscard]] inline base::external to_lane(const std::byte* data,
                                            std::uint64_t bytes,
                                            const std::shared_ptr<memory>& owner) {
  base::external sent{{data, bytes}, owner, {}};
  if (const auto* known = dynamic_cast<const lane_memory*>(owner.get()))
    sent.shared = known->payload().shared;
  return sent;
}

}  // namespace berth::detail
