#pragma once
// Log capture: every line user code prints, known by the call that printed it.
//
// stdout, stderr (stdio) and std::cout, cerr, clog (iostream) are exact: they know the calling thread, cost no system
// call, and go to the log ring and to a hook that sends them to the caller. What is written to descriptors 1 and 2
// directly (old FILEs, child processes) comes through a pipe and is given to a call only when it is certain that this
// call alone ran since the pipe was last empty. Threads that the function made carry no call.

#include "runtime/process/log_ring.hpp"

#include <berth/error.hpp>
#include <functional>
#include <memory>

namespace berth::process {

/// Called for each line, on the thread that printed it or on the pipe's reader. Must not print.
using log_hook = std::function<void(log_stream, call_tag, std::string_view text, bool open)>;

/// A resource, one a process: from `start` to `stop` the process's output is captured.
/// Threads: any.
class log_capture {
 public:
  /// Redirects the process's output. `ring` must outlive it. Errors: `conflict` when output is captured already,
  /// `overloaded` when descriptors are used up.
  static result<std::unique_ptr<log_capture>> start(log_writer& ring, log_hook hook);
  /// Stops, if that was not done.
  ~log_capture();

  /// The calling thread runs `tag` from now on: its lines belong to it. Cost: two stores.
  static void enter(call_tag tag) noexcept;
  /// The calling thread's call ended; a line without a newline is completed. Cost: two loads when nothing was printed
  /// and the call was not observed.
  void leave() noexcept;

  /// `tag`, which the worker is about to run or runs, is the only call from here to its `leave`: when the pipe is empty
  /// now, what arrives in it until then is this call's. For a worker that runs one call at a time: call it after it slept
  /// before a call, and from its ticking thread. Cost: two system calls, and two more in `leave`.
  void observe(call_tag tag) noexcept;

  /// Restores what was redirected, completes open lines. Must be called before static destructors run.
  void stop() noexcept;

  /// For a fatal signal's handler: saves the crashing thread's open lines and what lies in the pipe into the ring.
  /// Safe in a signal handler.
  static void flush_from_handler() noexcept;

  class impl;

 private:
  explicit log_capture(std::unique_ptr<impl> self);
  std::unique_ptr<impl> self_;
};

}  // namespace berth::process
