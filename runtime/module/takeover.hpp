#pragma once

// Takeover: the running program as its own worker.
//
// A program that sends its functions is their module: its worker is the same executable, started again. libberth stands
// in front of the C library's `__libc_start_main`, so that after every static constructor has run, and before the user's
// `main`, a process that was started as a worker becomes one. `berth::init(argc, argv)` does the same from `main` where the
// C library starts programs otherwise.

namespace berth::module {

/// Set (to "1") in the environment of a program that is started as a worker; taken out again by the takeover, so that
/// programs started by user code are not taken over.
inline constexpr const char* program_worker_variable = "BERTH_PROGRAM_WORKER";

/// What a worker does in the place of `main`; returns the exit code. Set before `main` by whoever links the worker
/// (a static object); without one a program started as a worker ends with a message.
using worker_main = int (*)(int argc, char** argv);
void set_program_worker(worker_main run) noexcept;

/// True when this process was started as a worker of its own program and has not been taken over yet.
[[nodiscard]] bool started_as_worker() noexcept;

/// Runs the worker and gives its exit code. Only after `started_as_worker()`.
int run_program_worker(int argc, char** argv) noexcept;

}  // namespace berth::module
