#pragma once
// Lifeline: the promise that nothing goes on running when the process responsible for it is gone.
//
// The supervisor keeps the write end of a pipe for each child, the child reads the other end. End of file (closed on
// purpose, or by the kernel because the supervisor died in whatever way) means: stop. Signals on a parent's death are no
// substitute: they follow the thread that forked and are lost on a change of user.

#include "runtime/base/unique_fd.hpp"

#include <berth/error.hpp>
#include <chrono>
#include <functional>

namespace berth::process {

/// A pipe; both ends are closed on exec.
struct pipe_ends {
  base::unique_fd read;
  base::unique_fd write;
};

/// Errors: `overloaded` when descriptors are used up.
result<pipe_ends> make_pipe();

/// The name of the variable that tells a child its lifeline's number.
constexpr const char* lifeline_variable = "BERTH_LIFELINE_FD";

/// Takes the descriptor over that a variable names ("BERTH_LIFELINE_FD"), closes it on exec, and removes the variable.
/// Errors: `invalid` when the variable is absent or names no open descriptor.
result<base::unique_fd> inherited_descriptor(const char* variable);

/// Watches from a thread of its own: at end of file it calls `at_end` (once, on that thread), and after `grace` kills
/// this process, with its children and, when it leads one, its whole group, whatever `at_end` does; at once
/// when there is no `at_end`. The thread holds all signals back and
/// is not joined: it lasts as long as the process. Errors: `overloaded` when no thread can be started.
result<void> watch_lifeline(base::unique_fd line,
                            std::function<void()> at_end,
                            std::chrono::milliseconds grace = std::chrono::milliseconds(1000));

}  // namespace berth::process
