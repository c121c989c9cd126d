#pragma once
// The least a call over shared-memory rings can cost: a 32-byte header and a flat block each way, the links' waiting rule
// and bells, and nothing else: no ids to look up, no credits, no errors.
//
// What makes it a call and not a counter is kept, though a compiler that sees both ends of the loop would drop it: a
// frame is copied out whole before anybody looks at it, its header is checked against what may have arrived, and an
// answer is written anew under the id that was asked.

#include "tests/bench/floor/child.hpp"
#include "tests/bench/floor/spin.hpp"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <vector>

namespace berth::bench {

struct floor_header {
  std::uint64_t id;
  std::uint64_t revision;
  std::uint32_t binding, deadline, size, flags;
};

static_assert(sizeof(floor_header) == 32);

/// Blocks of a call and of its answer.
struct floor_arguments {
  double a, b;
};

struct floor_result {
  double sum;
};

inline constexpr std::size_t floor_block_bytes_max = 32;
inline constexpr std::size_t floor_frame_bytes = sizeof(floor_header) + floor_block_bytes_max;

/// A frame that was copied out of a ring.
struct floor_message {
  floor_header header;
  alignas(16) char block[floor_block_bytes_max];

  /// The block, which must be a `Block`. Ends the process when it is not.
  template <class Block>
  [[nodiscard]] Block as() const {
    if (header.size != sizeof(Block)) std::exit(4);
    Block out;
    std::memcpy(&out, block, sizeof out);
    return out;
  }
};

inline constexpr std::uint64_t floor_ring_bytes = 64 * 1024;

struct floor_ring {
  alignas(128) std::atomic<std::uint64_t> head;
  alignas(128) std::atomic<std::uint64_t> tail;
  alignas(128) std::atomic<std::uint32_t> asleep;
  std::atomic<std::uint32_t> consumer_cpu;
  alignas(128) char bytes[floor_ring_bytes];
};

/// One end of one direction pair.
class floor_end {
 public:
  floor_end(floor_ring& out, floor_ring& in, int rings, int waits)
      : out_(out), in_(in), rings_(rings), waits_(waits) {}

  template <class Block>
  bool put(std::uint64_t id, const Block& block) {
    static_assert(sizeof block <= floor_block_bytes_max);
    if (head_ + floor_frame_bytes - tail_seen_ > floor_ring_bytes) {
      tail_seen_ = out_.tail.load(std::memory_order_acquire);
      if (head_ + floor_frame_bytes - tail_seen_ > floor_ring_bytes) return false;
    }
    const floor_header header{id, 0, 1, 0, sizeof block, 1};
    char* at = out_.bytes + head_ % floor_ring_bytes;
    std::memcpy(at, &header, sizeof header);
    std::memcpy(at + sizeof header, &block, sizeof block);
    head_ += floor_frame_bytes;
    return true;
  }

  void publish() {
    out_.head.store(head_, std::memory_order_seq_cst);
    rang_ = out_.asleep.load(std::memory_order_seq_cst) != 0 && out_.asleep.exchange(0) != 0;
    const std::uint64_t one = 1;
    if (rang_ && ::write(rings_, &one, sizeof one) != sizeof one) std::exit(3);
  }

  bool ready() {
    if (head_seen_ != tail_) return true;
    head_seen_ = in_.head.load(std::memory_order_acquire);
    return head_seen_ != tail_;
  }

  /// Copies the next frame out: its header, then as much of a block as that says.
  void take(floor_message& to) {
    const char* at = in_.bytes + tail_ % floor_ring_bytes;
    std::memcpy(&to.header, at, sizeof to.header);
    asm volatile("" : "+m"(to.header));
    if (to.header.size > floor_block_bytes_max || head_seen_ - tail_ < floor_frame_bytes)
      std::exit(4);
    std::memcpy(to.block, at + sizeof to.header, to.header.size);
    tail_ += floor_frame_bytes;
  }

  void release() { in_.tail.store(tail_, std::memory_order_release); }

  void tell_cpu() {
    const auto cpu = static_cast<std::uint32_t>(::sched_getcpu());
    if (cpu != told_) in_.consumer_cpu.store(told_ = cpu, std::memory_order_relaxed);
  }

  void arm(bool yes) {
    in_.asleep.store(yes ? 1 : 0, yes ? std::memory_order_seq_cst : std::memory_order_relaxed);
    if (!yes) rang_ = false;
  }

  [[nodiscard]] bool rang() const { return rang_; }

  [[nodiscard]] int waits() const { return waits_; }

  [[nodiscard]] std::uint32_t peer_cpu() const {
    return out_.consumer_cpu.load(std::memory_order_relaxed);
  }

 private:
  floor_ring& out_;
  floor_ring& in_;
  int rings_, waits_;
  std::uint64_t head_ = 0, tail_seen_ = 0, tail_ = 0, head_seen_ = 0;
  std::uint32_t told_ = ~0U;
  bool rang_ = false;
};

inline void sleep_on(std::vector<floor_end*>& ends) {
  std::vector<pollfd> on;
  bool now = false;
  for (auto* end : ends) {
    end->arm(true);
    now = now || end->ready();
    on.push_back({end->waits(), POLLIN, 0});
  }
  if (!now) ::poll(on.data(), on.size(), 1000);
  for (std::size_t i = 0; i < ends.size(); ++i) {
    std::uint64_t count;
    if (on[i].revents != 0 && ::read(on[i].fd, &count, sizeof count) < 0) continue;
    ends[i]->arm(false);
  }
}

/// Rings to `clients` clients and a child that answers all of them: a + b. Make clients' ends with `client(i)`.
class ring_floor {
 public:
  explicit ring_floor(int clients) {
    auto* rings = static_cast<floor_ring*>(
        shared_memory(sizeof(floor_ring) * 2 * static_cast<std::size_t>(clients)));
    for (int i = 0; i < clients; ++i) {
      const int to_server = ::eventfd(0, EFD_NONBLOCK);
      const int to_client = ::eventfd(0, EFD_NONBLOCK);
      server_.push_back(
          std::make_unique<floor_end>(rings[2 * i + 1], rings[2 * i], to_client, to_server));
      clients_.push_back(
          std::make_unique<floor_end>(rings[2 * i], rings[2 * i + 1], to_server, to_client));
    }
    serves_ = std::make_unique<child>([this] { serve(); });
  }

  [[nodiscard]] floor_end& client(int i) { return *clients_[static_cast<std::size_t>(i)]; }

  [[nodiscard]] pid_t server_pid() const { return serves_->pid(); }

  /// Waits until the end has something.
  static void wait(floor_end& end, spinner& habits) {
    while (!end.ready()) {
      end.tell_cpu();
      if (habits.wait([&] { return end.ready(); }, end.rang(), end.peer_cpu())) return;
      std::vector<floor_end*> one{&end};
      sleep_on(one);
    }
  }

  /// One synchronous call.
  static double call(floor_end& end, spinner& habits, double a, double b) {
    const auto id = ++last_id();
    if (!end.put(id, floor_arguments{a, b})) std::exit(4);
    end.publish();
    wait(end, habits);
    floor_message answer;
    end.take(answer);
    end.release();
    if (answer.header.id != id) std::exit(4);
    return answer.as<floor_result>().sum;
  }

  /// `calls` calls with up to `window` in flight.
  static void pipeline(floor_end& end, spinner& habits, std::uint64_t calls, std::uint64_t window) {
    std::uint64_t sent = 0, got = 0;
    floor_message answer;
    while (got < calls) {
      int burst = 0;
      while (sent < calls && sent - got < window && burst < 32) {
        if (!end.put(sent, floor_arguments{1.0, 2.0})) break;
        ++sent;
        ++burst;
      }
      end.publish();
      wait(end, habits);
      for (int i = 0; i < 64 && end.ready(); ++i) {
        end.take(answer);
        if (answer.header.id != got++ || answer.as<floor_result>().sum != 3.0) std::exit(4);
      }
      end.release();
    }
  }

 private:
  static std::uint64_t& last_id() {
    static std::uint64_t id = 0;
    return id;
  }

  void serve() {
    std::vector<floor_end*> ends;
    for (auto& end : server_)
      ends.push_back(end.get());
    spinner habits;
    floor_message asked;
    bool rang = false;
    std::uint32_t peer_cpu = ~0U;
    const auto any = [&] {
      for (auto* end : ends)
        if (end->ready()) return true;
      return false;
    };
    for (;;) {
      for (auto* end : ends)
        end->tell_cpu();
      if (!habits.wait(any, rang, peer_cpu)) sleep_on(ends);
      rang = false;
      for (auto* end : ends) {
        if (!end->ready()) continue;
        int n = 0;
        do {
          end->take(asked);
          const auto of = asked.as<floor_arguments>();
          while (!end->put(asked.header.id, floor_result{of.a + of.b}))
            end->publish();
          if (++n % 16 == 0) end->publish();
        } while (n < 64 && end->ready());
        end->release();
        end->publish();
        rang = rang || end->rang();
        peer_cpu = end->peer_cpu();
      }
    }
  }

  std::vector<std::unique_ptr<floor_end>> server_;
  std::vector<std::unique_ptr<floor_end>> clients_;
  std::unique_ptr<child> serves_;
};

/// Round trip of one cache line between two processes that do nothing else, in ns: which regime the machine is in.
inline double cache_line_round_trip_ns(int rounds = 200'000) {
  struct line {
    alignas(128) std::atomic<std::uint64_t> there;
    alignas(128) std::atomic<std::uint64_t> back;
  };

  auto* shared = static_cast<line*>(shared_memory(sizeof(line)));
  child echoes([&] {
    for (std::uint64_t i = 1;; ++i) {
      while (shared->there.load(std::memory_order_acquire) < i)
        relax();
      shared->back.store(i, std::memory_order_release);
    }
  });
  const auto trip = [&](std::uint64_t i) {
    shared->there.store(i, std::memory_order_release);
    while (shared->back.load(std::memory_order_acquire) < i)
      relax();
  };
  std::uint64_t i = 0;
  while (i < 1000)
    trip(++i);
  const auto from = clock_ns();
  for (int n = 0; n < rounds; ++n)
    trip(++i);
  return static_cast<double>(clock_ns() - from) / rounds;
}

}  // namespace berth::bench
