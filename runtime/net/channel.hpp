#pragma once
// The channel: one lane with everything both ends of a link need. It opens frames for sending from any thread, splits
// what is too large, lends and borrows shared segments, puts arriving pieces together, and answers what concerns the
// link itself. The calling end (`link`) and the serving end (`served_link`) are built on it.
//
// Sending is guarded by a spin lock; receiving belongs to one reader at a time, whoever that is.

#include "runtime/base/clock.hpp"
#include "runtime/base/fork.hpp"
#include "runtime/base/spin_lock.hpp"
#include "runtime/net/assembly.hpp"
#include "runtime/net/lane.hpp"
#include "runtime/net/link.hpp"
#include "runtime/net/message.hpp"
#include "runtime/net/outbox.hpp"
#include "runtime/net/ring_lane.hpp"
#include "runtime/net/segments.hpp"
#include "runtime/net/statistics.hpp"

#include <atomic>
#include <berth/error.hpp>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

namespace berth::net {

/// A count that one thread at a time writes and anybody reads.
class tally {
 public:
  void add(std::uint64_t n) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }

  void set(std::uint64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }

  [[nodiscard]] std::uint64_t get() const noexcept {
    return value_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// One arrived frame: either a body that still lies in the lane (`raw`: copy it once, then `channel::done`), or a whole
/// message that needed putting together.
struct arrival {
  arrival() noexcept {
  }  // not the compiler's: that one clears the room of `whole`, once for every look at the lane

  frame_header header;
  const std::byte* raw = nullptr;
  std::optional<message> whole;
};

class channel final : public std::enable_shared_from_this<channel> {
 public:
  struct limits {
    std::uint64_t queue_bytes_max = std::uint64_t{64} << 20;
    std::uint64_t segment_bytes_max = std::uint64_t{64} << 30;
  };

  channel(std::unique_ptr<lane> over, limits bounds);
  ~channel();
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;

  // --- sending, from any thread
  /// What becomes of a frame that finds no room: `queue` it (beyond the limit the link ends: the peer does not read),
  /// `refuse` it (the caller waits and tries again), or `lose` it when the queue is half full (log lines).
  enum class when_full : std::uint8_t { queue, refuse, lose };
  /// Opens one frame under `header`, whose size, externals and transfer flag are not looked at. Empty: refused, lost, or the link has ended.
  [[nodiscard]] reservation open(const frame_header& header,
                                 std::size_t body,
                                 std::span<const base::external> externals,
                                 when_full then);
  /// Opens, fills and commits one small frame; never refuses.
  void send(const frame_header& header, std::span<const std::byte> body = {}) noexcept;

  /// Moves what waits into the lane and publishes. Cheap when nothing waits.
  void flush() noexcept {
    if (dirty_.load(std::memory_order_relaxed)) flush_slowly();
  }

  /// Something waits for room: a sleeper must be woken when there is some.
  [[nodiscard]] bool has_backlog() const noexcept {
    return backlog_.load(std::memory_order_relaxed);
  }

  /// A sleeper must wait for the socket to become writable, too.
  [[nodiscard]] bool waits_for_writable() const noexcept {
    return has_backlog() && lane_->tells_room_by_socket();
  }

  [[nodiscard]] bool has_room(std::size_t body) noexcept;

  [[nodiscard]] std::size_t body_bytes_direct() const noexcept { return direct_max_; }

  /// The last publication had to wake the peer, and nobody has slept since.
  [[nodiscard]] bool rang() const noexcept { return rang_.load(std::memory_order_relaxed); }

  /// Whether frames committed `batched` may wait: somebody flushes within a millisecond. Else they go at once.
  void allow_batches(bool yes) noexcept {
    batches_allowed_.store(yes, std::memory_order_relaxed);
    if (!yes) flush_slowly();
  }

  /// The reader knows that more frames are there: answers to this one may wait for theirs.
  void expect_more(bool yes) noexcept { batches_allowed_.store(yes, std::memory_order_relaxed); }

  [[nodiscard]] base::spin_lock& send_lock() noexcept { return lock_; }

  /// This process is a fork of the one the channel belongs to.
  [[nodiscard]] bool forked() const noexcept { return fork_generation_ != base::fork_generation(); }

  // --- receiving, by the reader
  [[nodiscard]] bool ready() noexcept { return ring_ != nullptr ? ring_->ready() : lane_->ready(); }

  /// The end of file was seen; what was sent before may still be there.
  [[nodiscard]] bool hung_up() const noexcept { return hung_up_; }

  /// The next frame for the ends. `nothing` may also mean: ask again later. `broken`: the link has ended, see `why`.
  look take(arrival& what);

  void done(const arrival& what) noexcept {
    if (what.raw != nullptr) pop();
  }

  /// A call that is still arriving in pieces will not be handed out; false when there is none of this id.
  bool drop_arriving(std::uint64_t call) noexcept { return assembly_.drop(call); }

  /// Copies an arrival out as a message and is done with it.
  [[nodiscard]] message keep(arrival& what);

  // --- sleeping, by the reader
  /// Asks the peer to wake us. True: something moved meanwhile, do not sleep but look again.
  [[nodiscard]] bool arm() noexcept {
    armed_.store(true, std::memory_order_seq_cst);
    const bool waits = backlog_.load(std::memory_order_seq_cst);
    lane_->arm(waits);
    return waits && pump_backlog();
  }

  /// Whoever slept on this link without the reader role is relieved; returns whether somebody did. From then on the peer
  /// wakes nobody.
  bool awake() noexcept {
    if (!armed_.load(std::memory_order_relaxed)) [[likely]]
      return false;
    slept();
    return true;
  }

  /// The sleep is over.
  void slept() noexcept {
    armed_.store(false, std::memory_order_relaxed);
    lane_->disarm();
    rang_.store(false, std::memory_order_relaxed);
  }

  /// After a sleep: takes in what lies beside the lane; notices the end of file.
  void after_sleep(bool bell, bool socket);

  /// Sleeps until something is there, `wake` is called, `stop()` holds, or `deadline`.
  template <class Stop>
  void doze(base::time_point deadline, Stop&& stop) {
    const bool moved = arm();
    if (!moved && !ready() && !stop()) sleep(deadline);
    slept();
  }

  /// Wakes whoever dozes; the caller has changed what `stop()` looks at before (sequentially consistent).
  void wake() noexcept {
    if (armed_.load(std::memory_order_seq_cst)) lane_->ring_own_bell();
  }

  [[nodiscard]] lane& over() noexcept { return *lane_; }

  [[nodiscard]] const lane& over() const noexcept { return *lane_; }

  // --- ending
  /// Ends the link: the first reason stays. `tell`: a `bye` with the reason goes out first.
  enum class tell : std::uint8_t { nothing, reason };
  void end(error_info why, tell peer = tell::nothing) noexcept;

  [[nodiscard]] bool ended() const noexcept { return ended_.load(std::memory_order_acquire); }

  [[nodiscard]] error_info why() const;

  void count_overload() noexcept { overloads_.fetch_add(1, std::memory_order_relaxed); }

  void count_rescue() noexcept { rescues_.fetch_add(1, std::memory_order_relaxed); }

  void count_sleep() noexcept { sleeps_.fetch_add(1, std::memory_order_relaxed); }

  [[nodiscard]] link_statistics statistics() const;

 private:
  friend class reservation;
  struct draft;
  struct loan;

  [[nodiscard]] reservation open_direct(const frame_header& header,
                                        std::size_t body,
                                        when_full then);
  [[nodiscard]] reservation open_draft(const frame_header& header,
                                       std::size_t body,
                                       std::span<const base::external> externals,
                                       when_full then);
  void place_external(draft& in, const base::external& one);
  [[nodiscard]] std::shared_ptr<std::byte[]> room_for(std::uint64_t bytes);
  [[nodiscard]] std::optional<std::uint32_t> lend_copy(std::span<const std::byte> bytes);
  void commit_direct(reservation::when publish) noexcept;
  void commit_draft(draft& what) noexcept;
  void give_up_draft(draft& what) noexcept;
  enum class publishing : std::uint8_t { frames, backlog };
  void publish_locked(publishing why = publishing::frames) noexcept;
  void flush_slowly() noexcept;
  [[nodiscard]] bool pump_backlog() noexcept;
  void send_drops_locked();
  void unlock_and_let_go() noexcept;
  [[nodiscard]] bool queue_allows(when_full then) const noexcept;

  void sleep(base::time_point deadline);

  void pop() noexcept {
    if (ring_ != nullptr) [[likely]]
      ring_->pop();
    else
      lane_->pop();
  }

  look take_slowly(arrival& what, const std::byte* body);
  look on_nothing();
  look pull_bulk(arrival& what);
  look on_chunk(arrival& what, const std::byte* body);
  look on_compound(arrival& what, const std::byte* body);
  [[nodiscard]] result<void> resolve(assembly::place where,
                                     std::size_t index,
                                     const external_place& place);
  void on_own_frame(const frame_header& header, const std::byte* body);
  void on_bye(const frame_header& header, const std::byte* body);
  void read_asides();
  look broken(error_info why);

  // Written by senders under the lock.
  alignas(64) base::spin_lock lock_;
  std::atomic<bool> dirty_{false};
  std::atomic<bool> backlog_{false};
  std::atomic<bool> rang_{false};
  std::atomic<bool> batches_allowed_{false};
  std::uint32_t unpublished_ = 0;
  std::size_t open_bytes_ = 0;
  tally frames_out_;
  tally bytes_out_;
  tally transfers_;
  tally segments_out_;
  // Read by all.
  alignas(64) const std::unique_ptr<lane> lane_;
  ring_lane* const ring_;  // the same lane when it is a ring: the warm path makes no virtual calls
  const std::size_t direct_max_;
  const limits bounds_;
  const std::uint32_t fork_generation_;
  std::atomic<bool> ended_{false};
  // Written by the reader.
  alignas(64) tally frames_in_;
  tally bytes_in_;
  tally segments_in_;
  std::atomic<std::uint64_t> borrowed_bytes_{0};
  std::atomic<bool> armed_{false};  // asleep or about to
  bool hung_up_ = false;

  struct {
    std::uint32_t transfer = 0;
    std::byte* to = nullptr;
    std::size_t size = 0;
    std::size_t got = 0;
  } bulk_;

  assembly assembly_;
  borrowed_segments borrowed_;
  // Rare.
  outbox outbox_;
  lent_segments lent_;
  std::atomic<std::uint64_t> overloads_{0};
  std::atomic<std::uint64_t> rescues_{0};
  std::atomic<std::uint64_t> sleeps_{0};
  mutable std::mutex why_mutex_;
  std::optional<error_info> why_;
  std::optional<error_info> said_bye_;
};

}  // namespace berth::net
