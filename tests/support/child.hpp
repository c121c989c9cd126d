#pragma once
// Child helpers: processes in tests, started so that no test leaves one behind, and awaited with a bound.

#include "runtime/base/unique_fd.hpp"
#include "runtime/process/child.hpp"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <poll.h>
#include <set>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace berth::tests {

/// Starts a program; the owner returned kills and reaps it with its whole group. Throws when it cannot be started.
inline process::child start_child(std::vector<std::string> argv,
                                  std::vector<int> descriptors = {},
                                  std::vector<std::pair<std::string, std::string>> variables = {}) {
  process::command what;
  what.argv = std::move(argv);
  what.env = process::own_environment();
  for (const auto& [name, value] : variables)
    process::set_variable(what.env, name, value);
  what.descriptors = std::move(descriptors);
  what.err = STDERR_FILENO;
  return process::start(what).value();
}

/// Whether a process with this number exists that is no zombie of ours or others.
inline bool alive(pid_t pid) {
  const base::unique_fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd) return false;
  pollfd one{fd.get(), POLLIN, 0};
  return ::poll(&one, 1, 0) == 0;  // readable: it has ended
}

/// The kernel's letter for a process's state ('R', 'S', 'T' …); 'X' when there is no such process.
inline char state_of(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto name_end = text.rfind(')');
  return name_end == std::string::npos ? 'X' : text[name_end + 2];
}

/// Waits for the end of a process that need not be our child; false when it still runs after `bound`.
inline bool await_gone(pid_t pid, std::chrono::milliseconds bound) {
  const base::unique_fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd) return true;
  pollfd one{fd.get(), POLLIN, 0};
  return ::poll(&one, 1, static_cast<int>(bound.count())) > 0;
}

/// Looks every millisecond until `met` holds; false when it does not within `bound`. For states that have no event.
inline bool await(std::chrono::milliseconds bound, const std::function<bool()>& met) {
  const auto deadline = std::chrono::steady_clock::now() + bound;
  while (!met()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    ::poll(nullptr, 0, 1);
  }
  return true;
}

/// The descriptors this process has open.
inline std::set<int> open_descriptors() {
  std::set<int> all;
  for (const auto& one : std::filesystem::directory_iterator("/proc/self/fd"))
    all.insert(std::stoi(one.path().filename().string()));
  return all;
}

/// Reads until end of file or `bound`; what a pipe or socket gave.
inline std::string read_all(int fd, std::chrono::milliseconds bound) {
  std::string text;
  const auto deadline = std::chrono::steady_clock::now() + bound;
  for (char part[256];;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd one{fd, POLLIN, 0};
    if (left.count() <= 0 || ::poll(&one, 1, static_cast<int>(left.count())) <= 0) return text;
    const auto got = ::read(fd, part, sizeof part);
    if (got <= 0) return text;
    text.append(part, static_cast<std::size_t>(got));
  }
}

/// Reads one line (without its newline), at most until `bound`.
inline std::string read_line(int fd, std::chrono::milliseconds bound) {
  std::string text;
  pollfd one{fd, POLLIN, 0};
  for (char byte = 0; ::poll(&one, 1, static_cast<int>(bound.count())) > 0;) {
    if (::read(fd, &byte, 1) != 1 || byte == '\n') break;
    text += byte;
  }
  return text;
}

}  // namespace berth::tests
