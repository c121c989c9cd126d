#pragma once
// Callee: a ref bound with a signature, and the replicas that answer it now; what all copies of a handle share.

#include "runtime/base/clock.hpp"
#include "runtime/base/spin_lock.hpp"
#include "runtime/client/bucket_map.hpp"
#include "runtime/client/session.hpp"
#include "runtime/client/timers.hpp"
#include "runtime/client/verbs.hpp"
#include "runtime/net/frame.hpp"

#include <atomic>
#include <berth/call.hpp>
#include <berth/error.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace berth::detail {
class callee;
}

namespace berth::client {

/// One replica of one version as a callee calls it. Opened on first use. Threads: any.
class line {
 public:
  line(verbs::endpoint where, const verbs::served& version)
      : target(std::move(where.target)), version(version.version), idempotent(version.idempotent) {}

  const std::string target;
  const std::uint32_t version;
  const bool idempotent;

  [[nodiscard]] bool open() const noexcept { return open_.load(std::memory_order_acquire); }

  /// Open no longer, for good: its worker or the way to it is gone.
  [[nodiscard]] bool dead() const noexcept { return given_up() || (open() && peer_->closed()); }

  /// Somebody has found it dead. Cheaper to ask than `dead`, which looks at the link.
  [[nodiscard]] bool given_up() const noexcept { return given_up_.load(std::memory_order_relaxed); }

  void give_up() noexcept { given_up_.store(true, std::memory_order_relaxed); }

  /// Connects and binds, once. Errors: `disconnected` and others of the way there; the worker's own.
  result<void> open_for(session& of, const net::bind_request& what);

  // Once open:
  [[nodiscard]] net::link& link() const noexcept { return peer_->link(); }

  [[nodiscard]] std::uint32_t binding() const noexcept { return agreed_.binding; }

  [[nodiscard]] std::uint64_t ledger_link() const noexcept { return agreed_.link; }

 private:
  std::mutex mutex_;
  std::atomic<bool> open_{false};
  std::atomic<bool> given_up_{false};
  std::shared_ptr<peer> peer_;
  net::bind_reply agreed_;
};

/// Where a call goes: a line and what its header says of the route.
struct way {
  std::shared_ptr<line> to;
  std::uint64_t revision = 0;
  std::uint8_t flags = 0;  ///< `flag_pinned`
};

/// What the asynchronous calls of one thread through one callee have in common: their way, while all go the same one,
/// and their count. A callee outlives its calls, and they hold no reference for it: whoever lets go of the last handle
/// looks at these counts (`callee::retire`). Each has one writer, so that a warm call counts without locked
/// instructions.
class thread_calls {
 public:
  thread_calls(detail::callee& of, std::uint32_t thread) noexcept : of(of), thread_(thread) {}

  detail::callee& of;

  // By the thread.
  void begun() noexcept { add_one(begun_); }

  /// Of the callee's table when this was last looked up; 0: look again.
  [[nodiscard]] std::uint64_t stamp() const noexcept { return stamp_; }

  /// The way of all calls; null when each must pick its own.
  [[nodiscard]] const way* settled() const noexcept {
    return over_.to != nullptr && !over_.to->given_up() ? &over_ : nullptr;
  }

  /// A call is over and touches neither this nor its way again; by thread `thread`.
  void ended(std::uint32_t thread) noexcept {
    if (thread == thread_)
      add_one(ended_);
    else
      ended_elsewhere_.fetch_add(1, std::memory_order_release);
  }

  /// Calls are under way. Exact once none begins any more; before, for the thread itself.
  [[nodiscard]] bool any() const noexcept {
    return ended_.load(std::memory_order_acquire) + ended_elsewhere_.load(std::memory_order_acquire)
           != begun_.load(std::memory_order_relaxed);
  }

 private:
  friend class detail::callee;

  static void add_one(std::atomic<std::uint64_t>& to) noexcept {
    to.store(to.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  const std::uint32_t thread_;
  std::uint64_t stamp_ = 0;
  way over_;
  std::atomic<std::uint64_t> begun_{0};
  std::atomic<std::uint64_t> ended_{0};
  std::atomic<std::uint64_t> ended_elsewhere_{0};
};

}  // namespace berth::client

namespace berth::detail {

class callee final : public client::route_follower,
                     private client::expiring,
                     public std::enable_shared_from_this<callee> {
 public:
  ~callee() override;
  callee(const callee&) = delete;
  callee& operator=(const callee&) = delete;

  /// Binds `ref`: resolves it, connects to a replica and agrees on the signature.
  /// Errors: those of resolving; `invalid` (signature_mismatch) with both signatures.
  static result<std::shared_ptr<callee>> bind(std::shared_ptr<client::session> of,
                                              std::string ref,
                                              std::string method,
                                              std::string signature);

  [[nodiscard]] client::session& of() noexcept { return *session_; }

  [[nodiscard]] const std::string& ref() const noexcept { return ref_; }

  [[nodiscard]] std::uint32_t bucket_for(std::string_view routing_key) const;

  /// As `pick`, when the replica it would choose is connected: the warm way, without an error to carry.
  [[nodiscard]] bool pick_open(const std::optional<std::uint32_t>& bucket, client::way& to);

  /// The replica for a call now: version by bucket, the less busy of two. A version without a live replica is asked
  /// for again, until `end`. Errors: `invalid` after fork, those of resolving and connecting.
  result<client::way> pick(const std::optional<std::uint32_t>& bucket, base::time_point end);

  /// A call by `sent` was answered `moved`, or its replica is gone: makes sure the next pick knows better.
  result<void> refresh(const client::way& sent, base::time_point end);

  void on_route(const client::verbs::route& route) override;

  /// Changes with the table; no other callee ever has the same.
  [[nodiscard]] std::uint64_t stamp() const noexcept {
    return stamp_.load(std::memory_order_acquire);
  }

  /// What the asynchronous calls of a thread have in common from now on, until `stamp` changes. `thread` is a small
  /// number, of one thread at a time. Whoever asks holds a handle. Cost: two locks.
  [[nodiscard]] client::thread_calls& calls_of(std::uint32_t thread);

 private:
  struct version_lines {
    std::uint32_t version = 0;
    std::vector<std::shared_ptr<client::line>> lines;
  };

  /// All that a pick needs; replaced as a whole.
  struct table {
    std::uint64_t revision = 0;
    std::uint32_t tag_slot = 0;
    bool pinned = false;
    client::bucket_map map;
    std::vector<version_lines> versions;
  };

  callee(std::shared_ptr<client::session> of,
         std::string ref,
         std::string method,
         std::string signature);
  result<void> apply(const client::verbs::route& route);
  result<void> resolve_again(base::time_point end);
  [[nodiscard]] net::bind_request request_for(const table& from) const;
  /// Under the table's lock.
  [[nodiscard]] const std::shared_ptr<client::line>* choose(const version_lines& among);
  [[nodiscard]] bool way_now(const std::optional<std::uint32_t>& bucket, client::way& to);
  /// The way of all calls, when they go the same one and it is open. `stamp` is the table's, or 0: it will be open soon.
  [[nodiscard]] client::way only_way(std::uint64_t& stamp);

  /// The end of the last handle: at once, or when the calls under way have ended.
  static void retire(callee* whose) noexcept;
  [[nodiscard]] bool calls_under_way();
  base::time_point expire() noexcept override;

  const std::shared_ptr<client::session> session_;
  const std::string ref_;
  const std::string method_;
  const std::string signature_;
  std::string name_;
  std::string tag_;
  std::uint32_t own_bucket_ = 0;

  std::mutex resolving_;  // one thread asks the head at a time
  std::mutex mutex_;      // the table's writers, and who waits for them
  std::condition_variable changed_;
  base::spin_lock table_lock_;  // what a pick reads; writers hold both
  table table_;
  std::uint64_t generation_ = 0;  // of the table
  std::uint32_t turn_ = 0;
  std::atomic<std::uint64_t> stamp_{0};  // of the table, in the process

  std::mutex calls_mutex_;
  std::vector<std::unique_ptr<client::thread_calls>> calls_;  // by thread
  std::vector<std::unique_ptr<client::thread_calls>>
      former_calls_;  // by ways that were left, not all ended
  std::chrono::milliseconds look_again_{
      1};  // whether they have ended, once the last handle is gone
};

}  // namespace berth::detail
