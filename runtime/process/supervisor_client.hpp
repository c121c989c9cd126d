#pragma once
// Supervisor client: how the head process asks its supervisor for workers and hears of their deaths.
//
// The supervisor is parent of every process of the node; the head asks over a socket it inherits. Requests are answered
// by events, in the order the supervisor acted. When the supervisor is gone the head ends too (lifeline); `gone` only
// says why.

#include "runtime/base/unique_fd.hpp"
#include "runtime/process/death.hpp"
#include "runtime/process/supervisor_messages.hpp"

#include <berth/error.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace berth::process {

/// The variable that tells the head its supervisor's socket.
constexpr const char* supervisor_variable = "BERTH_SUPERVISOR_FD";
/// The variable that tells the head the runtime folder's lock, which it only has to keep open.
constexpr const char* lock_variable = "BERTH_LOCK_FD";

/// What the head hears. All run on the client's own thread, one at a time; none may block for long.
struct supervisor_events {
  std::function<void(const worker_started&)> started;
  std::function<void(const worker_refused&)> refused;
  std::function<void(const worker_ended&)> ended;
  std::function<void(const stop_asked&)> stop;  ///< drain, then end this process
  std::function<void(const error_info&)> gone;
};

/// Threads: any.
class supervisor_client {
 public:
  /// Takes the socket over. Errors: `invalid` when the first message is not the supervisor's welcome; `timed_out`.
  static result<std::unique_ptr<supervisor_client>> attach(base::unique_fd socket,
                                                           supervisor_events events);
  /// As above, with the socket (and the folder's lock) this process inherited.
  static result<std::unique_ptr<supervisor_client>> attach_inherited(supervisor_events events);
  ~supervisor_client();

  [[nodiscard]] const welcome& greeting() const noexcept { return greeting_; }

  /// Asks for a worker under an id of the caller's, unique within this process's life: `started` or `refused` follows,
  /// perhaps before this returns. `descriptors` go with it, in the order of `what.descriptors`; they stay the caller's.
  /// Errors: `invalid` (too many, too large), `disconnected`.
  result<void> start(std::uint64_t worker, worker_command what, std::span<const int> descriptors);
  /// Closes the worker's lifeline; kills its group when `grace` has passed. `ended` follows.
  result<void> stop(std::uint64_t worker, std::chrono::milliseconds grace);
  /// Kills the worker's group now. `ended` follows.
  result<void> kill(std::uint64_t worker);
  /// The cluster serves: these facts go into the running cluster's file ("address", "token" …), and whoever started the
  /// supervisor is told.
  result<void> ready(std::map<std::string, std::string> facts);
  /// The cluster shall end (`berth down`): the supervisor answers with `stop`.
  result<void> shut_down(std::chrono::milliseconds drain);

 private:
  supervisor_client(base::unique_fd socket, supervisor_events events, welcome greeting);
  void listen();
  result<void> send(const to_supervisor& message);

  base::unique_fd socket_;
  base::unique_fd wake_;
  base::unique_fd lock_;
  supervisor_events events_;
  welcome greeting_;
  std::mutex sending_;
  std::thread thread_;
};

}  // namespace berth::process
