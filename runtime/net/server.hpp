#pragma once
// The serving end of links: one polling thread reads the frames of all links and runs the handler on that very thread,
// so a short call costs no hand-off.
//
// When a handler takes longer than about a millisecond a spare thread takes the polling over, so that cancels, credits,
// new links and other callers are seen; the thread that comes back from the handler becomes the spare. Two threads never
// read one link at once. Replies may be written from any thread.

#include "runtime/base/unique_fd.hpp"
#include "runtime/net/link.hpp"

#include <berth/error.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace berth::net {

struct accepted;

/// One accepted link. Held by `std::shared_ptr`: whoever owes an answer keeps it. Threads: every function from any.
class served_link : public std::enable_shared_from_this<served_link> {
 public:
  served_link(const served_link&) = delete;
  served_link& operator=(const served_link&) = delete;
  ~served_link();

  /// Opens one frame about `call`: result, failure, moved, reply (these are final), item, end, log, progress.
  /// Never waits for the peer: what finds no room goes to a bounded private queue. Empty when the link is gone, or, for
  /// log and progress only, when that queue is full (the line is counted as lost).
  /// A final frame on the polling thread is published when the turn ends or after 16 of them.
  [[nodiscard]] reservation begin(frame_kind kind,
                                  std::uint64_t call,
                                  std::size_t body,
                                  std::span<const base::external> externals = {},
                                  std::uint8_t flags = 0,
                                  std::uint64_t revision = 0);

  /// Welcomes `n` more items of the caller's stream.
  void grant(std::uint64_t call, std::uint32_t n) noexcept;

  /// Ends the link with an error that the peer is told.
  void close(const error_info& why) noexcept;
  [[nodiscard]] bool closed() const noexcept;

  /// Unique among the links of one server, never reused.
  [[nodiscard]] std::uint64_t id() const noexcept;
  [[nodiscard]] const peer_facts& peer() const noexcept;
  [[nodiscard]] link_statistics statistics() const;
  /// The owner of the handler may hang its own state here; touched by `handler` functions of this link only.
  std::shared_ptr<void> user;

 private:
  friend class server;
  struct state;
  explicit served_link(std::unique_ptr<state> self);
  std::unique_ptr<state> self_;
};

/// What the owner of a server does with what arrives. All functions run on the polling thread of the moment (see
/// above: it changes, but never are two inside for one link, except that `on_call` may still run on the old thread when
/// the new one reads on). All but `on_request`, `on_call` and `on_closed` keep other links waiting and must be quick; so must `on_call`
/// when the caller will send items (`flag_items_in`). They must not throw. A view is valid until the function returns.
class handler {
 public:
  virtual ~handler() = default;

  /// Before the link's first frame.
  virtual void on_open(served_link& /*from*/) {}

  virtual void on_call(served_link& from, const message_view& what) = 0;
  virtual void on_request(served_link& from, const message_view& what) = 0;

  virtual void on_cancel(served_link& /*from*/, std::uint64_t /*call*/) {}

  virtual void on_item(served_link& /*from*/, const message_view& /*what*/) {}

  virtual void on_end(served_link& /*from*/, std::uint64_t /*call*/) {}

  /// The caller welcomes `n` more items of `call`.
  virtual void on_credit(served_link& /*from*/, std::uint64_t /*call*/, std::uint32_t /*n*/) {}

  virtual void on_closed(served_link& /*from*/, const error_info& /*why*/) {}

  /// The calling thread lost the polling while it was in `on_call`, and is free now: run what was queued meanwhile.
  virtual void run_queued() {}

  /// About once a millisecond while the server is awake, on the spare thread.
  virtual void on_tick() {}
};

/// The polling thread, its spare, and all links they serve. A resource.
class server {
 public:
  struct options {
    std::string program;             ///< name told to the peers
    std::uint32_t credits = 1024;    ///< calls a link may have in flight
    std::uint32_t links_max = 1024;  ///< further connections are refused with `overloaded`
    bool offers_ring = true;         ///< false: peers on this host get the Unix lane
    std::uint64_t segment_bytes_max = std::uint64_t{64}
                                      << 30;  ///< of one peer's memory mapped here
    std::uint64_t queue_bytes_max = std::uint64_t{64}
                                    << 20;  ///< small frames waiting for a peer that does not read
    std::chrono::milliseconds greeting_max{5000};  ///< time a peer has for its hello
  };

  /// Starts the threads. `does` must outlive the server.
  [[nodiscard]] static result<std::unique_ptr<server>> start(handler& does, options how);
  ~server();  // stop()
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  /// Takes a connected socket whose preamble was read; the hello is spoken by the polling thread without blocking it.
  /// Threads: any.
  void adopt(accepted socket);

  /// Runs `job` on the polling thread soon. Threads: any.
  void post(std::function<void()> job);

  /// Refuses new links, closes all, ends the threads (one that is inside a handler is waited for). Idempotent.
  void stop();

  [[nodiscard]] std::vector<std::shared_ptr<served_link>> links() const;

 private:
  struct state;
  explicit server(std::unique_ptr<state> self);
  std::unique_ptr<state> self_;
  std::uint32_t fork_generation_;
};

}  // namespace berth::net
