#pragma once
// Calls: what stands between a typed handle and its link.
//
// The typed half is compiled into the caller: it measures the arguments, writes them straight into the lane, and reads
// the result where it was received. The other half lives in libberth and is asked three times a call: for room, to
// send and wait, and to let go.

#include <berth/bytes.hpp>
#include <berth/codec.hpp>
#include <berth/error.hpp>
#include <berth/future.hpp>
#include <berth/stream.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace berth {

/// Hears what a call says while it runs. Called on a thread that reads links: be quick, do not call through handles.
class BERTH_API call_watcher {
 public:
  virtual ~call_watcher();

  /// One line the callee printed, without its newline.
  virtual void on_output(std::string_view /*line*/, bool /*stderr_line*/) {}

  virtual void on_progress(double /*fraction*/, std::string_view /*message*/) {}

  virtual void on_metric(std::string_view /*name*/, double /*value*/) {}
};

/// What `with` can say about the calls of a handle; what is not said stays as it was. A value.
struct call_options {
  /// Routing key: calls with one key go to one version of a split. The program's identity unless said otherwise.
  std::optional<std::string> sticky = {};
  /// How long a call may wait for a place in the callee's queue; zero: not at all. 1 s unless said otherwise.
  std::optional<std::chrono::nanoseconds> patience = {};
  /// Calls that `map` keeps under way; 64 unless said otherwise.
  std::optional<std::uint32_t> in_flight = {};
  /// Whether `map` hands results out in the order of its items; yes unless said otherwise.
  std::optional<bool> ordered = {};
  /// Must outlive every call made with it. Without one, output goes to this program's own stdout and stderr.
  call_watcher* watch = nullptr;
};

namespace detail {

/// The options of a handle, merged. A value.
struct call_settings {
  std::optional<std::uint32_t> bucket;  ///< of the routing key; none: the program's own
  std::chrono::nanoseconds within{0};   ///< deadline from the call on; 0: none
  std::chrono::nanoseconds patience = std::chrono::seconds(1);
  std::uint32_t in_flight = 64;
  bool ordered = true;
  call_watcher* watch = nullptr;
};

/// What a handle refers to: a ref bound with a signature, and the replicas that answer it now. Shared by handles.
class callee;
using callee_ref = std::shared_ptr<callee>;

/// `how` with what `options` say.
[[nodiscard]] BERTH_API call_settings merged(const call_settings& how,
                                             const call_options& options,
                                             const callee_ref& of);

/// One synchronous call: a resource on the caller's stack. Threads: the caller's.
class BERTH_API sync_call {
 public:
  sync_call(const callee_ref& to, const call_settings& how) noexcept : to_(to), how_(how) {}

  sync_call(const sync_call&) = delete;
  sync_call& operator=(const sync_call&) = delete;

  ~sync_call() {
    if (state_ != nullptr) end();
  }

  /// Room for a block of that size, or null: `error()` says why. Waits for a place within the patience.
  [[nodiscard]] std::byte* begin(const codec::plan& plan);

  enum class step : std::uint8_t {
    answered,  ///< `reply()` is the result's block
    again,     ///< did not start where it was sent: begin again
    failed,    ///< `error()`
  };

  /// Sends what was written and waits. `externals` are those the codec put beside the block.
  [[nodiscard]] step finish(const std::vector<external>& externals);

  [[nodiscard]] block_view reply() const noexcept { return reply_; }

  /// The number of the version that answered.
  [[nodiscard]] std::uint32_t version() const noexcept { return version_; }

  [[nodiscard]] error_info& error() noexcept { return *error_; }

 private:
  struct state;
  friend struct call_engine;
  void end() noexcept;

  const callee_ref& to_;
  const call_settings& how_;
  state* state_ = nullptr;
  block_view reply_;
  std::uint32_t version_ = 0;
  std::optional<error_info> error_;
  alignas(64) std::byte room_[1152];
};

/// An asynchronous call; comes from a pool. Its arguments are kept until it has ended.
class BERTH_API async_call : public pending {
 public:
  /// A call about to be made. Errors are the call's outcome.
  /// The handle that holds `to` must stay until `start` has returned.
  [[nodiscard]] static pending_ref<async_call> make(const callee_ref& to, const call_settings& how);

  /// Room for the arguments' block; kept by the call.
  [[nodiscard]] virtual std::byte* room(const codec::plan& plan) = 0;
  /// Sends. From here on the call ends by itself.
  virtual void start(std::vector<external> externals) = 0;

  /// Once done: null, or why it failed.
  [[nodiscard]] virtual error_info* failed() noexcept = 0;
  [[nodiscard]] virtual block_view reply() const noexcept = 0;
  [[nodiscard]] virtual std::uint32_t version() const noexcept = 0;

 protected:
  ~async_call() override;
};

/// A call whose result, or one parameter, is a stream. Threads: one at a time.
class BERTH_API stream_call {
 public:
  enum class items : std::uint8_t { none, sent };

  virtual ~stream_call();

  /// A call about to be made; `from_caller` says whether the caller sends a stream.
  [[nodiscard]] static std::unique_ptr<stream_call> make(callee_ref to,
                                                         const call_settings& how,
                                                         items from_caller);

  /// Room for the arguments' block; kept by the call.
  [[nodiscard]] virtual std::byte* room(const codec::plan& plan) = 0;
  /// Sends. What goes wrong is told by `next`.
  virtual void start(std::vector<external> externals) = 0;

  enum class turn : std::uint8_t {
    item,      ///< `block()` is the next item of the result
    room,      ///< the callee welcomes an item of the caller's stream
    answered,  ///< `block()` is the result (empty when that was a stream)
    failed,    ///< `error()` says why
  };

  /// Waits for what comes next; `room` comes only to who `sends`.
  enum class wish : std::uint8_t { reads, sends };
  [[nodiscard]] virtual turn next(wish what) = 0;
  [[nodiscard]] virtual block_view block() const noexcept = 0;
  /// Sends one item, after `room`.
  virtual void send(bytes block, std::vector<external> externals) = 0;
  /// The caller's stream is complete.
  virtual void end_items() = 0;
  [[nodiscard]] virtual error_info& error() noexcept = 0;
  [[nodiscard]] virtual std::uint32_t version() const noexcept = 0;
};

/// Tells which of many pending outcomes is done next. Threads: one waits; outcomes complete on any.
class BERTH_API done_list {
 public:
  done_list();
  ~done_list();
  done_list(const done_list&) = delete;
  done_list& operator=(const done_list&) = delete;

  /// `token` comes out of `wait` once `one` is done; the list keeps a reference until then.
  void watch(pending& one, std::uint64_t token);
  /// The token of the next outcome that is done; waits for it. Something must be watched.
  [[nodiscard]] std::uint64_t wait();

  struct state;

 private:
  std::shared_ptr<state> state_;
};

}  // namespace detail

/// A result with what is known about its making.
template <class R>
struct reply {
  R value;
  std::uint32_t version = 0;  ///< of the name: the one that answered
};

template <>
struct reply<void> {
  std::uint32_t version = 0;
};

}  // namespace berth
