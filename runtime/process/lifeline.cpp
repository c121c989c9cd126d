#include "runtime/process/lifeline.hpp"

#include "runtime/process/orphans.hpp"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <pthread.h>
#include <string_view>
#include <system_error>
#include <thread>
#include <unistd.h>

namespace berth::process {
namespace {

// Starts a thread that no signal is delivered to: the handler of a user's code must not run on ours.
template <class Work>
bool start_deaf_thread(Work work) {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  bool started = true;
  try {
    std::thread(std::move(work)).detach();
  } catch (const std::system_error&) {
    started = false;
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

[[noreturn]] void kill_all_of_us() {
  kill_children();  // also those that left the group
  ::kill(::getpgrp() == ::getpid() ? 0 : ::getpid(), SIGKILL);
  std::abort();
}

}  // namespace

result<pipe_ends> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return fail(kind::overloaded, "no_descriptors",
                std::string("making a pipe: ") + std::strerror(errno));
  return pipe_ends{base::unique_fd(ends[0]), base::unique_fd(ends[1])};
}

result<base::unique_fd> inherited_descriptor(const char* variable) {
  const char* text = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): before threads
  if (text == nullptr)
    return fail(kind::invalid, "not_inherited",
                std::string(variable) + " is not set: this program is started by berth itself");
  const std::string_view digits(text);
  int fd = -1;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), fd);
  const bool whole = read.ec == std::errc() && read.ptr == digits.data() + digits.size();
  if (!whole || fd < 0 || ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
    return fail(kind::invalid, "not_inherited",
                std::string(variable) + "=" + text + " names no open descriptor");
  ::unsetenv(variable);  // NOLINT(concurrency-mt-unsafe): before threads
  return base::unique_fd(fd);
}

result<void> watch_lifeline(base::unique_fd line,
                            std::function<void()> at_end,
                            std::chrono::milliseconds grace) {
  const auto held = std::make_shared<base::unique_fd>(std::move(line));
  const bool started = start_deaf_thread([held, at_end = std::move(at_end), grace] {
    // One read, blocked until the end: it keeps its hold on the pipe even when the process closes the descriptor.
    char unexpected = 0;
    while (::read(held->get(), &unexpected, 1) > 0) {
    }
    if (!at_end) kill_all_of_us();
    const bool timer = start_deaf_thread([grace] {
      std::this_thread::sleep_for(grace);
      kill_all_of_us();
    });
    if (!timer) kill_all_of_us();
    at_end();
  });
  if (!started)
    return fail(kind::overloaded, "no_threads", "no thread can be started to watch the lifeline");
  return {};
}

}  // namespace berth::process
