#pragma once
// Child: a process we started, ended and reaped by its owner.
//
// Every child leads a process group of its own and is killed with all of it; it starts with default signal handling,
// an empty signal mask, and no descriptors but those given to it. Its death is read from a pidfd, not from a signal,
// so programs that use SIGCHLD themselves are left alone.

#include "runtime/base/unique_fd.hpp"
#include "runtime/process/death.hpp"

#include <berth/error.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace berth::process {

/// What to start. A value; descriptors stay owned by the caller.
struct command {
  enum class kin : std::uint8_t {
    group,    ///< own process group, same session
    session,  ///< own session: outlives the terminal
  };
  std::vector<std::string> argv;  ///< argv[0] is a path, or a name looked up in PATH
  std::vector<std::string> env;   ///< "NAME=value", the whole environment
  std::string cwd;                ///< empty: this process's
  std::vector<int> descriptors;   ///< become 3, 4, 5 … in the child
  int in = -1;                    ///< -1: /dev/null
  int out = -1;                   ///< -1: /dev/null
  int err = -1;                   ///< -1: /dev/null
  kin relation = kin::group;
};

/// This process's environment as `command::env` wants it.
[[nodiscard]] std::vector<std::string> own_environment();

/// Sets or replaces NAME in an environment.
void set_variable(std::vector<std::string>& env, const std::string& name, const std::string& value);

/// A resource: the owner of one child. Dropping it kills the group and reaps.
class child {
 public:
  child() = default;
  child(child&& other) noexcept;
  child& operator=(child&& other) noexcept;
  ~child();

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

  /// Readable when the child has ended. Stays owned here.
  [[nodiscard]] int pidfd() const noexcept { return pidfd_.get(); }

  /// Sends a signal to the child alone.
  void signal(int number) const noexcept;
  /// Sends a signal to the child and all of its group.
  void signal_group(int number) const noexcept;
  /// Kills the child and all of its group.
  void kill_group() const noexcept;

  /// How it ended, if it has; kills what is left of its group before its pid can be used again.
  [[nodiscard]] std::optional<death> reap() noexcept;
  /// Waits for the end up to `patience`; nothing when it still runs.
  [[nodiscard]] std::optional<death> wait(std::chrono::milliseconds patience) noexcept;

  /// Lets the process go on without an owner; nobody reaps it then but init.
  void let_go() noexcept;

 private:
  friend result<child> start(const command& what);
  pid_t pid_ = -1;
  base::unique_fd pidfd_;
};

/// Starts a process. Threads: any; nothing of the parent's state is copied (no fork handlers run).
/// Errors: `missing` when the program is not there, `denied` when it may not be executed, `invalid` for a bad command
/// or folder, `overloaded` when the system has no room for another process, `failed` otherwise.
result<child> start(const command& what);

}  // namespace berth::process
