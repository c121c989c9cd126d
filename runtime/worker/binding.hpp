#pragma once
// Bindings: what one caller agreed on with this worker, link by link.

#include "runtime/net/call_messages.hpp"
#include "runtime/worker/item_flow.hpp"
#include "runtime/worker/replica.hpp"
#include "runtime/worker/running_call.hpp"

#include <array>
#include <atomic>
#include <berth/error.hpp>
#include <berth/shape.hpp>
#include <bit>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace berth::worker {

/// One agreement. Lives as long as its link.
struct binding {
  /// How the caller's blocks become the version's.
  enum class form : std::uint8_t {
    same,             ///< as they are
    evolved,          ///< transcoded from and to the caller's older signature
    self_describing,  ///< values that say themselves what they are
  };
  const method* what = nullptr;
  std::uint32_t tag_slot = 0;
  std::uint32_t counter = 0;  ///< slot in the worker page
  form as = form::same;
  berth::signature caller;  ///< when evolved
};

/// Decides whether `from` may call what this replica serves. Errors: `missing` (no such method; names those there are),
/// `invalid` (signature_mismatch; both printed).
[[nodiscard]] result<binding> agree(const replica& serves, const net::bind_request& from);

/// The bindings of one link by number. Each stays where it is. Threads: any; a slow agreement may still be under way
/// when another thread reads the link's next frames, so adding has a lock and finding sees whole bindings without one.
class binding_list {
 public:
  static constexpr std::uint32_t size_max = 65536;

  /// The number that calls will name; none when the link has too many.
  [[nodiscard]] std::optional<std::uint32_t> add(binding one) {
    const std::lock_guard lock(mutex_);
    const auto number = size_.load(std::memory_order_relaxed);
    if (number == size_max) return std::nullopt;
    const auto at = place_of(number);
    auto& block = blocks_[at.block];
    if (block == nullptr) block = std::make_unique<binding[]>(first_block << at.block);
    block[at.offset] = std::move(one);
    size_.store(number + 1, std::memory_order_release);
    return number;
  }

  /// Null when nothing was agreed on under this number. Cost: a nanosecond.
  [[nodiscard]] const binding* find(std::uint32_t number) const noexcept {
    if (number >= size_.load(std::memory_order_acquire)) return nullptr;
    const auto at = place_of(number);
    return &blocks_[at.block][at.offset];
  }

 private:
  struct place {
    std::uint32_t block;
    std::uint32_t offset;
  };

  // Blocks of 16, 32, 64 … bindings, so that a link with few costs little.
  static constexpr std::uint32_t first_block = 16;

  static constexpr place place_of(std::uint32_t number) noexcept {
    const auto shifted = number + first_block;
    const auto block =
        static_cast<std::uint32_t>(std::bit_width(shifted) - std::bit_width(first_block));
    return {block, shifted - (first_block << block)};
  }

  std::mutex mutex_;
  std::atomic<std::uint32_t> size_{0};
  std::array<std::unique_ptr<binding[]>, 13> blocks_;  // up to number 16 · (2^13 − 1)
};

/// What a worker keeps of one link. `flows` has a lock.
struct link_state {
  std::uint32_t ledger = 0;  ///< slot in the worker page
  caller_facts caller;
  binding_list bindings;

  [[nodiscard]] std::shared_ptr<item_flow> flow_of(std::uint64_t call) const {
    const std::lock_guard lock(mutex);
    const auto at = flows.find(call);
    return at == flows.end() ? nullptr : at->second;
  }

  /// Ends the waits of all streams: the caller has gone.
  void stop_flows() const {
    const std::lock_guard lock(mutex);
    for (const auto& [call, flow] : flows)
      flow->stop();
  }

  mutable std::mutex mutex;
  std::map<std::uint64_t, std::shared_ptr<item_flow>> flows;  ///< by call
};

}  // namespace berth::worker
