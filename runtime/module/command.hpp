#pragma once
// Command: one run of a tool (compiler, linker, cmake) with its output read to the end.

#include <berth/error.hpp>
#include <chrono>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

namespace berth::module {

struct command_line {
  std::vector<std::string> argv;  ///< argv[0] by path, or looked up in PATH
  std::vector<std::pair<std::string, std::string>>
      variables;       ///< set on top of this process's environment
  std::string folder;  ///< to run in; empty: this process's
};

/// How it ended, with stdout and stderr as they came. A value.
struct command_outcome {
  int exit_code = 0;   ///< 128 + signal when it was killed
  std::string output;  ///< at most `command_output_max` bytes, then cut with a line that says so
};

inline constexpr std::size_t command_output_max = 4 * 1024 * 1024;

/// Told each line of output as it comes.
using line_listener = std::function<void(std::string_view line)>;

/// Runs it and waits for its end and for the end of its output. Errors: `missing` when there is no such program,
/// `cancelled` when `stop` was requested (the whole process group is killed first), `timed_out` after `patience`.
[[nodiscard]] result<command_outcome> run(const command_line& what,
                                          const std::stop_token& stop = {},
                                          std::chrono::seconds patience = std::chrono::minutes(30),
                                          const line_listener& on_line = {});

/// The program of that name in PATH, or empty. A name with a slash is itself, if it can be executed.
[[nodiscard]] std::string find_program(const std::string& name);

}  // namespace berth::module
