#include "tools/berth/interrupt.hpp"

#include <atomic>
#include <berth/error.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <poll.h>
#include <sys/eventfd.h>
#include <thread>
#include <unistd.h>

namespace berth::tools {
namespace {

using std::chrono::milliseconds;

/// For a command that looks at the flag between two items to finish its line.
constexpr milliseconds moment{100};
/// For a command that stops compilers and clusters first.
constexpr milliseconds own_end{15'000};

std::atomic<bool> came{false};
std::atomic<int> ending_themselves{0};
int bell = -1;
std::mutex undoing;
std::list<std::function<void()>> to_undo;

void on_signal(int number) {
  const int kept = errno;
  if (came.exchange(true)) ::_exit(128 + number);
  const unsigned long long one = 1;
  (void)!::write(bell, &one, sizeof one);
  errno = kept;
}

// Standard output may be held by the thread that is blocked writing to it; its last lines are lost then.
void flush_output() {
  if (::ftrylockfile(stdout) != 0) return;
  std::fflush(stdout);
  ::funlockfile(stdout);
}

void await_and_end() {
  pollfd rung{bell, POLLIN, 0};
  while (::poll(&rung, 1, -1) < 0) {
  }
  std::this_thread::sleep_for(ending_themselves > 0 ? own_end : moment);
  {
    const std::lock_guard lock(undoing);
    for (const auto& undo : to_undo)
      undo();
  }
  flush_output();
  ::_exit(exit_code(kind::cancelled));
}

}  // namespace

void catch_interrupts() {
  bell = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

  struct sigaction action {};

  action.sa_handler = on_signal;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  std::thread(await_and_end).detach();  // ends with the program, whichever way that goes
}

bool interrupted() noexcept {
  return came.load(std::memory_order_relaxed);
}

int interrupt_descriptor() noexcept {
  return bell;
}

ends_by_itself::ends_by_itself() {
  ++ending_themselves;
}

ends_by_itself::~ends_by_itself() {
  --ending_themselves;
}

interrupt_cleanup::interrupt_cleanup(std::function<void()> undo) {
  const std::lock_guard lock(undoing);
  at_ = to_undo.insert(to_undo.end(), std::move(undo));
}

interrupt_cleanup::~interrupt_cleanup() {
  const std::lock_guard lock(undoing);
  to_undo.erase(at_);
}

}  // namespace berth::tools
