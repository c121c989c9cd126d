#pragma once
// The call table: which slot waits for which call id. Its free places are the link's credits.
//
// A call takes a place under the channel's send lock and leaves it when its final frame has arrived, also if its caller
// has long gone: the callee may still be at it. Freed places travel back through a single-producer single-consumer
// queue (producer: the reader of the link; consumer: the holder of the send lock).
//
// A slot is handed from its caller to the reader by an atomic exchange on its place, so that a caller who gives up and a
// reader who brings the result can meet without a lock: whoever takes the slot out of the place owns it.

#include "runtime/base/cpu.hpp"
#include "runtime/net/link.hpp"

#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>

namespace berth::net {

class call_table {
 public:
  explicit call_table(std::uint32_t credits)
      : size_(credits),
        places_(std::make_unique<place[]>(credits)),
        free_(std::make_unique<std::uint32_t[]>(std::bit_ceil(credits))),
        mask_(std::bit_ceil(credits) - 1),
        freed_(credits) {
    for (std::uint32_t i = 0; i < credits; ++i)
      free_[i] = i;
  }

  // --- under the send lock
  [[nodiscard]] bool has_place() const noexcept {
    return taken_.load(std::memory_order_relaxed) != freed_.load(std::memory_order_acquire);
  }

  /// Takes a place for `slot` and returns the call's id. Requires `has_place`.
  std::uint64_t take(pending& slot) noexcept {
    const auto taken = taken_.load(std::memory_order_relaxed);
    const std::uint32_t index = free_[taken & mask_];
    taken_.store(taken + 1, std::memory_order_relaxed);
    auto& at = places_[index];
    const std::uint64_t id = (++sequence_ << index_bits) | index;
    at.slot.store(&slot, std::memory_order_release);
    at.id.store(id, std::memory_order_relaxed);
    return id;
  }

  /// The call was not sent after all; the peer never heard of it.
  /// Null: the link ended meanwhile, and the slot was completed then.
  pending* untake(std::uint64_t id) noexcept {
    if (!knows(id)) return nullptr;
    pending* slot = at_index(id).slot.exchange(nullptr, std::memory_order_acq_rel);
    at_index(id).id.store(0, std::memory_order_relaxed);
    const auto taken = taken_.load(std::memory_order_relaxed) - 1;
    free_[taken & mask_] = static_cast<std::uint32_t>(id & index_max);
    taken_.store(taken, std::memory_order_relaxed);
    return slot;
  }

  // --- by the reader
  /// Whether a call of this id is under way, as far as the peer may know.
  [[nodiscard]] bool knows(std::uint64_t id) const noexcept {
    return (id & index_max) < size_ && at_index(id).id.load(std::memory_order_relaxed) == id;
  }

  /// Takes the slot out for good; null when its caller has given up. The place is free then. `own` is the slot whose
  /// caller is the reader itself, if any: nobody else can give that one up, so it needs no exchange.
  [[nodiscard]] pending* finish(std::uint64_t id, const pending* own = nullptr) noexcept {
    auto& at = at_index(id);
    pending* slot = at.slot.load(std::memory_order_acquire);
    if (slot != nullptr && slot == own)
      at.slot.store(nullptr, std::memory_order_relaxed);
    else
      slot = at.slot.exchange(nullptr, std::memory_order_acq_rel);
    at.id.store(0, std::memory_order_relaxed);
    free_place(id);
    return slot;
  }

  /// Takes the slot out for a moment; `put_back` must follow. Null when its caller has given up.
  [[nodiscard]] pending* borrow(std::uint64_t id) noexcept {
    auto& at = at_index(id);
    pending* slot = at.slot.load(std::memory_order_relaxed);
    while (slot != nullptr
           && !at.slot.compare_exchange_weak(slot, busy(), std::memory_order_acq_rel)) {
    }
    return slot;
  }

  void put_back(std::uint64_t id, pending& slot) noexcept {
    at_index(id).slot.store(&slot, std::memory_order_release);
  }

  /// Calls `act(slot)` for every slot still there, taking each out (the link has ended). Under the send lock as well.
  template <class Act>
  void finish_all(Act&& act) {
    for (std::uint32_t i = 0; i < size_; ++i) {
      const auto id = places_[i].id.load(std::memory_order_relaxed);
      if (id == 0) continue;
      if (pending* slot = finish(id)) act(*slot);
    }
  }

  // --- by the slot's caller
  /// Takes the slot back; false when the reader has it already (its result is there or about to be).
  [[nodiscard]] bool give_up(std::uint64_t id, pending& slot) noexcept {
    auto& at = at_index(id);
    for (;;) {
      pending* mine = &slot;
      if (at.slot.compare_exchange_strong(mine, nullptr, std::memory_order_acq_rel)) return true;
      if (mine != busy()) return false;
      base::relax();  // the reader hands it an event: some ten nanoseconds
    }
  }

  [[nodiscard]] std::uint32_t in_flight() const noexcept {
    return size_
           - (freed_.load(std::memory_order_relaxed) - taken_.load(std::memory_order_relaxed));
  }

 private:
  static constexpr unsigned index_bits = 16;
  static constexpr std::uint64_t index_max = (1U << index_bits) - 1;

  struct place {
    std::atomic<pending*> slot{nullptr};
    std::atomic<std::uint64_t> id{0};
  };

  static pending* busy() noexcept { return reinterpret_cast<pending*>(alignof(pending)); }

  [[nodiscard]] place& at_index(std::uint64_t id) const noexcept { return places_[id & index_max]; }

  void free_place(std::uint64_t id) noexcept {
    const auto freed = freed_.load(std::memory_order_relaxed);
    free_[freed & mask_] = static_cast<std::uint32_t>(id & index_max);
    freed_.store(freed + 1, std::memory_order_release);
  }

  const std::uint32_t size_;
  std::unique_ptr<place[]> places_;
  std::unique_ptr<std::uint32_t[]> free_;
  const std::uint32_t mask_;
  std::uint64_t sequence_ = 0;
  std::atomic<std::uint32_t> taken_{0};           // by senders
  alignas(64) std::atomic<std::uint32_t> freed_;  // by the reader
};

}  // namespace berth::net
