#pragma once
// Rings: one-way queues of frames in shared memory, one producer, one consumer, who do not trust each other.
//
// Shared memory holds bytes and positions, nothing else: no lock, pointer, count or name. Positions are masked, each
// shared word is read once into a local, and a position that cannot be ends the link. Only the producer writes `head`,
// only the consumer `tail`; each side keeps its own true position privately, so a scribbling peer can hand us garbage
// frames but never move us out of the ring.

#include "runtime/base/cpu.hpp"
#include "runtime/base/seen_order.hpp"
#include "runtime/net/frame.hpp"

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace berth::net {

/// One direction's words, each on cache lines of its own (128: the neighbour line is fetched too).
struct ring_words {
  alignas(128) std::atomic<std::uint64_t> head;        ///< by the producer: bytes published
  alignas(128) std::atomic<std::uint64_t> tail;        ///< by the consumer: bytes taken
  alignas(128) std::atomic<std::uint32_t> asleep;      ///< the consumer sleeps or is about to
  std::atomic<std::uint32_t> consumer_cpu;             ///< where the consumer last ran
  alignas(128) std::atomic<std::uint32_t> wants_room;  ///< the producer sleeps until there is room
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(std::endian::native == std::endian::little, "frames are little-endian in memory");

inline constexpr std::uint32_t ring_bytes_min = 16 * 1024;
inline constexpr std::uint32_t ring_bytes_max = 1024 * 1024;

/// Where a ring's parts lie; `bytes` is a power of two.
struct ring_place {
  ring_words* words = nullptr;
  std::byte* bytes = nullptr;
  std::uint32_t size = 0;
  unsigned direction = 0;
};

/// Size of the memory that holds both rings of a link: a page of words, then the two rings' bytes.
[[nodiscard]] constexpr std::uint64_t ring_memory_bytes(std::uint32_t ring_bytes) noexcept {
  return 4096 + 2 * std::uint64_t{ring_bytes};
}

/// The ring of one direction (0: from the connecting side, 1: to it) inside that memory.
[[nodiscard]] inline ring_place ring_in(std::byte* memory,
                                        std::uint32_t ring_bytes,
                                        unsigned direction) noexcept {
  static_assert(2 * sizeof(ring_words) <= 4096);
  return {reinterpret_cast<ring_words*>(memory) + direction,
          memory + 4096 + std::uint64_t{ring_bytes} * direction, ring_bytes, direction};
}

class ring_producer {
 public:
  explicit ring_producer(ring_place at) noexcept : at_(at) {}

  std::byte* room(std::size_t bytes) noexcept {
    const std::uint64_t offset = head_ & (at_.size - 1);
    const std::uint64_t pad = offset + bytes > at_.size ? at_.size - offset : 0;
    if (!fits(pad + bytes)) return nullptr;
    if (pad != 0) {
      const frame_header filler{};
      std::memcpy(at_.bytes + offset, &filler, sizeof filler);
      head_ += pad;
    }
    return at_.bytes + (head_ & (at_.size - 1));
  }

  // A frame to come finds its line here already: the peer has long read what lies there, and a store that waits for its
  // line holds up the next locked instruction.
  void commit(std::size_t bytes) noexcept {
    head_ += bytes;
    base::fetch_to_write(at_.bytes + ((head_ + write_ahead) & (at_.size - 1)));
  }

  /// Returns whether the consumer must be woken. Sequentially consistent with `asleep`: either we see it asleep, or it
  /// sees the new head before it sleeps.
  [[nodiscard]] bool publish() noexcept {
    published_ = head_;
    base::order_published(at_.direction);
    at_.words->head.store(head_, std::memory_order_seq_cst);
    // The next frame's line comes over before it is needed: the peer has long read what lies there.
    base::fetch_to_write(at_.bytes + (head_ & (at_.size - 1)));
    return at_.words->asleep.load(std::memory_order_seq_cst) != 0
           && at_.words->asleep.exchange(0, std::memory_order_seq_cst) != 0;
  }

  [[nodiscard]] bool unpublished() const noexcept { return published_ != head_; }

  /// Less than half of the ring is on its way.
  [[nodiscard]] bool half_empty() noexcept { return fits(at_.size / 2); }

  void want_room() noexcept { at_.words->wants_room.store(1, std::memory_order_seq_cst); }

  void have_room() noexcept { at_.words->wants_room.store(0, std::memory_order_relaxed); }

  [[nodiscard]] std::uint32_t consumer_cpu() const noexcept {
    return at_.words->consumer_cpu.load(std::memory_order_relaxed);
  }

 private:
  // A tail that cannot be (ahead of the head, or going back) counts as "no progress": the peer only harms itself.
  bool fits(std::uint64_t bytes) noexcept {
    if (head_ + bytes - tail_seen_ <= at_.size) return true;
    const std::uint64_t tail = at_.words->tail.load(std::memory_order_seq_cst);
    if (tail - tail_seen_ <= head_ - tail_seen_) tail_seen_ = tail;
    return head_ + bytes - tail_seen_ <= at_.size;
  }

  static constexpr std::uint64_t write_ahead =
      256;  // bytes: four small frames, about one line's way

  ring_place at_;
  std::uint64_t head_ = 0;
  std::uint64_t published_ = 0;
  std::uint64_t tail_seen_ = 0;
};

class ring_consumer {
 public:
  explicit ring_consumer(ring_place at) noexcept : at_(at) {}

  [[nodiscard]] bool ready() noexcept {
    if (head_seen_ != tail_) return true;
    head_seen_ = at_.words->head.load(std::memory_order_acquire);
    if (head_seen_ == tail_) return false;
    base::order_arrived(at_.direction);
    // The frame's line travels while the reader is still on its way to it.
    base::fetch_to_read(at_.bytes + (tail_ & (at_.size - 1)));
    return true;
  }

  enum class found : std::uint8_t { nothing, frame, impossible };

  /// Copies the next header out and checks that the frame lies inside what was published and inside the ring.
  found peek(frame_header& header, const std::byte*& body) noexcept {
    while (ready()) {
      const std::uint64_t offset = tail_ & (at_.size - 1);
      const std::uint64_t there = head_seen_ - tail_;
      if (there > at_.size || (there & (frame_align - 1)) != 0) return found::impossible;
      std::memcpy(&header, at_.bytes + offset, sizeof header);
      if (header.kind == frame_kind::pad) {
        const std::uint64_t rest = at_.size - offset;
        if (rest > there) return found::impossible;
        tail_ += rest;
        continue;
      }
      taking_ = frame_bytes(header.size);
      if (taking_ > there || offset + taking_ > at_.size) return found::impossible;
      body = at_.bytes + offset + sizeof header;
      return found::frame;
    }
    return found::nothing;
  }

  void pop() noexcept {
    tail_ += taking_;
    at_.words->tail.store(tail_, std::memory_order_release);
  }

  /// Whether a producer that waits for room must be woken now. The ordered look happens once per quarter of the ring and
  /// before each sleep: a producer waits only when more than half of the ring is full, so one such look always follows.
  [[nodiscard]] bool must_wake_producer() noexcept {
    return tail_ - checked_ >= at_.size / 4 && check_producer();
  }

  [[nodiscard]] bool check_producer() noexcept {
    checked_ = tail_;
    at_.words->tail.store(tail_, std::memory_order_seq_cst);
    return at_.words->wants_room.load(std::memory_order_seq_cst) != 0
           && at_.words->wants_room.exchange(0, std::memory_order_seq_cst) != 0;
  }

  void arm() noexcept { at_.words->asleep.store(1, std::memory_order_seq_cst); }

  void disarm() noexcept { at_.words->asleep.store(0, std::memory_order_relaxed); }

  void tell_cpu(std::uint32_t cpu) noexcept {
    if (cpu == told_cpu_) return;
    told_cpu_ = cpu;
    at_.words->consumer_cpu.store(cpu, std::memory_order_relaxed);
  }

 private:
  ring_place at_;
  std::uint64_t tail_ = 0;
  std::uint64_t head_seen_ = 0;
  std::uint64_t taking_ = 0;
  std::uint64_t checked_ = 0;
  std::uint32_t told_cpu_ = base::no_cpu;
};

}  // namespace berth::net
