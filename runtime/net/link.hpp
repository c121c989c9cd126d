#pragma once
// The calling end of a link: many calls under way at once, each with its own slot, over one lane.
//
// It keeps the promise that a small call costs a few cache misses. The thread that waits for a result drives the link
// itself (the reader role): it reads what arrives, hands other threads their results, and passes the role on when its
// own result is there. So a warm synchronous call makes no system call, no allocation and no thread hand-off. Calls
// nobody waits for are driven by the process's `driver` thread.
//
// A slot belongs to its caller and may lie on the stack. After `begin` … `commit` it must stay where it is until it is
// done or `abandon` returned.

#include "runtime/base/clock.hpp"
#include "runtime/net/frame.hpp"
#include "runtime/net/message.hpp"
#include "runtime/net/statistics.hpp"

#include <atomic>
#include <berth/error.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace berth::net {

class channel;
class driver;
class link;
class pending;

/// How a call ended, as far as the link knows.
enum class completion : std::uint8_t {
  under_way,
  answered,  ///< `answer()` holds the final frame: result, failure, moved or reply
  refused,  ///< never sent; `error()` says why (overloaded, disconnected, invalid, timed_out not_started)
  timed_out,  ///< sent, and the deadline passed; whether it started is unknown
  lost,  ///< sent, and the connection is gone; only the callee's ledger knows whether it started
  abandoned,  ///< by the caller
};

/// Told what happens to one call. Functions run on whatever thread drives the link: they must be quick, must not block,
/// must not throw, and must not call `wait`. The slot must outlive `on_done`; the link touches it no more after that.
class call_events {
 public:
  virtual ~call_events() = default;

  /// The call has ended; `call.how()` says how. Called exactly once, never for an abandoned call.
  virtual void on_done(pending& /*call*/) noexcept {}

  /// One stream item, a log line or a report of progress (`header.kind` tells). Take what must last.
  virtual void on_event(pending& /*call*/, message& /*what*/) noexcept {}

  /// The callee welcomes more items of the caller's stream (`pending::credit()` has grown).
  virtual void on_credit(pending& /*call*/) noexcept {}
};

/// Told what concerns the link as a whole. The same rules as for `call_events`; the link may not be destroyed in here.
class link_events {
 public:
  virtual ~link_events() = default;

  /// The link has ended; every slot has been completed.
  virtual void on_closed(link& /*which*/, const error_info& /*why*/) noexcept {}

  /// A log line or progress of a call whose slot has no `call_events`.
  virtual void on_stray(link& /*which*/, message& /*what*/) noexcept {}
};

/// One call's place: a resource that does not move while the call is under way. Reusable after it is done.
class pending {
 public:
  explicit pending(call_events* events = nullptr) noexcept : events_(events) {}

  pending(const pending&) = delete;
  pending& operator=(const pending&) = delete;
  ~pending();  // a call still under way is a bug of the owner: `ensure`

  [[nodiscard]] bool done() const noexcept {
    return (state_.load(std::memory_order_acquire) & done_bit) != 0;
  }

  /// Valid once `done()`.
  [[nodiscard]] completion how() const noexcept { return how_; }

  /// The final frame; valid when `how()` is `answered`.
  [[nodiscard]] message& answer() noexcept { return answer_; }

  [[nodiscard]] const message& answer() const noexcept { return answer_; }

  /// Why the link ended the call; valid when `how()` is `refused`, `timed_out` or `lost`.
  [[nodiscard]] const error_info& error() const noexcept { return *error_; }

  /// The id on the link, while under way and after.
  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }

  /// Counts the events so far; grows by one for each `on_event`, `on_credit` and by one at the end. Also `poke`d.
  [[nodiscard]] std::uint32_t events_seen() const noexcept {
    return state_.load(std::memory_order_acquire) / event_one;
  }

  /// The callee has heard of a cancel, and the call runs: it had started.
  [[nodiscard]] bool cancel_heard() const noexcept {
    return (state_.load(std::memory_order_acquire) & heard_bit) != 0;
  }

  /// Answered, and the answer says that the function was not started.
  [[nodiscard]] bool never_started() const noexcept {
    if (how_ != completion::answered) return false;
    const auto& said = answer_.header;
    return said.kind == frame_kind::moved
           || (said.kind == frame_kind::failure && (said.flags & flag_not_started) != 0);
  }

  /// Items the callee still welcomes of the caller's own stream.
  [[nodiscard]] std::uint32_t credit() const noexcept {
    return credit_.load(std::memory_order_acquire);
  }

  /// Lets go of what the answer holds. For a slot that is done and will be used again.
  void forget_answer() noexcept {
    answer_.body.clear();
    if (answer_.header.externals != 0) answer_.externals.clear();  // they lie far away
  }

 private:
  friend class link;
  friend class call_table;
  static constexpr std::uint32_t done_bit = 1;
  static constexpr std::uint32_t parked_bit = 2;
  static constexpr std::uint32_t lead_bit = 4;
  static constexpr std::uint32_t heard_bit = 8;
  static constexpr std::uint32_t event_one = 16;

  void begin() noexcept {
    how_ = completion::under_way;
    if (has_error_) [[unlikely]]
      clear_error();
  }

  void set_error(error_info why) {
    error_ = std::move(why);
    has_error_ = true;
  }

  void clear_error() noexcept {
    error_.reset();
    has_error_ = false;
  }

  std::atomic<std::uint32_t> state_{done_bit};
  completion how_ = completion::abandoned;
  bool has_error_ = false;  // `error_` lies far away
  std::atomic<std::uint32_t> credit_{0};
  call_events* events_;
  std::uint64_t id_ = 0;
  message answer_;
  pending* parked_next_ = nullptr;  // list of parked waiters, guarded by the link
  pending* parked_prev_ = nullptr;
  std::optional<error_info> error_;
};

/// Room for one frame, straight in the lane. Holds the link's send lock: fill it and `commit` at once; going away
/// without `commit` gives the room back and nothing is sent.
class reservation {
 public:
  reservation() noexcept = default;

  reservation(reservation&& other) noexcept { take(other); }

  reservation& operator=(reservation&& other) noexcept {
    if (this == &other) return *this;
    if (channel_ != nullptr) give_back();
    take(other);
    return *this;
  }

  reservation(const reservation&) = delete;
  reservation& operator=(const reservation&) = delete;

  ~reservation() {
    if (channel_ != nullptr) give_back();
  }

  explicit operator bool() const noexcept { return body_ != nullptr; }

  /// Exactly the bytes asked for, 16-aligned.
  [[nodiscard]] std::byte* body() const noexcept { return body_; }
  /// Sends it. `now`: the other side sees it at once. `batched`: with the next of up to 16, or within a millisecond.
  enum class when : std::uint8_t { now, batched };
  void commit(when publish = when::now) noexcept;

 private:
  friend class channel;
  friend class link;
  friend class served_link;
  void set_call(std::uint64_t id) noexcept;
  void give_back() noexcept;

  // Field by field, as they were just written: see `write_header`.
  void take(reservation& other) noexcept {
    channel_ = base::loaded_alone(std::exchange(other.channel_, nullptr));
    body_ = base::loaded_alone(std::exchange(other.body_, nullptr));
    draft_ = base::loaded_alone(std::exchange(other.draft_, nullptr));
    undo_ = base::loaded_alone(std::exchange(other.undo_, nullptr));
    undo_on_ = base::loaded_alone(other.undo_on_);
    undo_what_ = base::loaded_alone(other.undo_what_);
  }

  channel* channel_ = nullptr;
  std::byte* body_ = nullptr;
  void* draft_ = nullptr;  // the channel's: set when the frame does not go straight into the lane
  void (*undo_)(void* on, std::uint64_t what) noexcept = nullptr;  // when it goes away uncommitted
  void* undo_on_ = nullptr;
  std::uint64_t undo_what_ = 0;
};

/// What the two ends told each other in the hello.
struct peer_facts {
  std::string program;  ///< name of the other program
  std::string berth_version;
  std::int64_t pid = 0;  ///< from the kernel (SO_PEERCRED) on one host, else 0
  std::int64_t uid = -1;
  std::string lane;         ///< "ring", "unix" or "tcp"
  std::string lane_reason;  ///< why not the ring lane; empty on the ring lane
};

/// The calling end. A resource; made by `connect` (endpoint.hpp).
/// Threads: every function from any thread, except where it says otherwise.
class link {
 public:
  struct options {
    driver* drives = nullptr;       ///< drives calls nobody waits for; must outlive the link
    link_events* events = nullptr;  ///< must outlive the link
  };

  link(std::shared_ptr<channel> through, peer_facts peer, std::uint32_t credits, options how);
  ~link();  // closes; no thread may be inside, no slot under way with a null `call_events`
  link(const link&) = delete;
  link& operator=(const link&) = delete;

  /// Opens one frame of kind `call` or `request`. Fill in `header`: kind, binding, revision, deadline_us, flags; the
  /// link adds call id, size and externals. `externals` are copied or shared before it returns.
  ///
  /// Waits for a credit and for room until `patience_until` (`base::never` waits on; a time in the past: not at all),
  /// driving the link meanwhile. An empty reservation means refused: the slot is done, `slot.error()` says why
  /// (`overloaded` with a retry-after; `disconnected`; `invalid` after fork() or beyond `message_bytes_max`);
  /// `on_done` is not called then.
  /// Cost: no system call and no allocation when `body` is at most `body_bytes_direct()` and nothing is full.
  [[nodiscard]] reservation begin(pending& slot,
                                  const frame_header& header,
                                  std::size_t body,
                                  std::span<const base::external> externals = {},
                                  base::time_point patience_until = base::never);

  /// Waits until the call is done or `deadline` passed, driving the link when no other thread does.
  /// At the deadline it abandons the call, tells the callee to stop, and completes the slot as `timed_out`. With `ask` it
  /// waits a moment more (some milliseconds; `cancel_answer_max` when the callee is silent) to learn whether the call had
  /// started: if not, the slot is `answered` by a failure with `flag_not_started`.
  enum class late : std::uint8_t { abandon, ask };
  completion wait(pending& slot,
                  base::time_point deadline = base::never,
                  late then = late::abandon);

  /// As `wait`, but also returns when `slot.events_seen()` differs from `seen`; a passed deadline ends only this wait
  /// (returns `under_way`), the call goes on.
  completion wait_event(pending& slot, std::uint32_t seen, base::time_point deadline);

  /// Wakes whoever waits in `wait_event` on this slot.
  void poke(pending& slot) noexcept;

  /// Sets the callee's stop flag; the call goes on until its final frame.
  void cancel(pending& slot) noexcept;

  /// Lets go of the call: the slot is the caller's again on return, `on_done` will not be called (it may be running or
  /// have run: then `how()` tells). The callee is told to stop unless `leave_running`.
  enum class leave : std::uint8_t { stop_it, leave_running };
  void abandon(pending& slot, leave what = leave::stop_it) noexcept;

  /// One item of the caller's own stream (the call was begun with `flag_items_in`); takes one of `slot.credit()`,
  /// waiting for it until `patience_until`. Empty: `overloaded` or the call has ended (`error` is set, if not null).
  [[nodiscard]] reservation begin_item(pending& slot,
                                       std::size_t body,
                                       std::span<const base::external> externals,
                                       base::time_point patience_until,
                                       error_info* error);
  /// The caller's stream is complete.
  void end_items(pending& slot) noexcept;
  /// Welcomes `n` more items of the callee's stream (a call starts with `items_initial`).
  void grant(pending& slot, std::uint32_t n) noexcept;

  /// Sends what was committed `batched`.
  void flush() noexcept;

  /// Bodies up to this size are written straight into the lane; larger ones take a buffer and go in chunks.
  [[nodiscard]] std::size_t body_bytes_direct() const noexcept;
  [[nodiscard]] bool closed() const noexcept;
  /// Why it closed; `failed` "open" while it is open.
  [[nodiscard]] error_info why_closed() const;
  /// Refuses new calls, completes the ones under way as `lost`, tells the peer. Idempotent.
  void close() noexcept;
  [[nodiscard]] const peer_facts& peer() const noexcept;
  [[nodiscard]] std::uint32_t in_flight() const noexcept;
  [[nodiscard]] link_statistics statistics() const;

  /// A callee that says nothing about a cancel for so long is stopped or overloaded.
  static constexpr std::chrono::milliseconds cancel_answer_max{100};
  /// Stream items that may be under way before the first credit frame, either way.
  static constexpr std::uint32_t items_initial = 64;

 private:
  friend class driver;
  struct state;
  std::unique_ptr<state> self_;
};

/// The callback thread of a process: drives links that have calls nobody waits for, and runs what is posted to it.
/// Blocking in a posted job delays other jobs, never a link that somebody waits on.
class driver {
 public:
  /// Something to run once on the driver's threads; owned by whoever posts it until `run` is called.
  class job {
   public:
    virtual ~job() = default;
    virtual void run() noexcept = 0;

   private:
    friend class driver;
    job* next_ = nullptr;
  };

  [[nodiscard]] static result<std::unique_ptr<driver>> start();
  ~driver();  // runs what was posted, then ends its threads; all links that use it must be gone
  driver(const driver&) = delete;
  driver& operator=(const driver&) = delete;

  /// Threads: any, also while driving a link. Cost: about 20 ns, a system call more when the thread sleeps.
  void post(job& what) noexcept;
  /// Whether the calling thread is one that runs jobs.
  [[nodiscard]] bool runs_here() const noexcept;

 private:
  friend class link;
  struct state;
  explicit driver(std::unique_ptr<state> self);
  std::unique_ptr<state> self_;
  std::uint32_t fork_generation_;
};

}  // namespace berth::net
