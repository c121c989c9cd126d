#pragma once
// System calls: counted from outside, thread by thread, while something runs.
//
// A child traces the threads and stops at each of their system calls, so what makes none runs at full speed.

#include "tests/bench/floor/child.hpp"

#include <atomic>
#include <cerrno>
#include <memory>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <vector>

namespace berth::bench {

/// What was seen of the traced threads. A value.
struct system_calls_seen {
  long calls = 0;
  long sleeps = 0;  ///< those that wait for a descriptor: once for each wait that spun in vain
};

/// Counts from its making to `stop`. The threads must allow it (PR_SET_PTRACER).
class system_call_counter {
 public:
  explicit system_call_counter(std::vector<pid_t> threads) : threads_(std::move(threads)) {
    counts_ = static_cast<counts*>(shared_memory(sizeof(counts)));
    traces_ = std::make_unique<child>([this] { trace(); });
    while (counts_->state == 0) {
      const timespec moment{0, 1'000'000};
      ::nanosleep(&moment, nullptr);
    }
  }

  /// Whether tracing is allowed here.
  [[nodiscard]] bool works() const { return counts_->state == 1; }

  system_calls_seen stop() {
    const system_calls_seen seen{counts_->calls, counts_->sleeps};
    traces_.reset();  // its end lets the threads go
    return seen;
  }

 private:
  struct counts {
    std::atomic<int> state;  ///< 0 not yet, 1 counting, -1 not allowed
    std::atomic<long> calls;
    std::atomic<long> sleeps;
  };

  static bool waits(std::uint64_t number) {
    return number == SYS_ppoll || number == SYS_epoll_pwait
#ifdef SYS_epoll_wait
           || number == SYS_epoll_wait
#endif
        ;
  }

  void trace() {
    for (const pid_t thread : threads_) {
      if (::ptrace(PTRACE_SEIZE, thread, nullptr, PTRACE_O_TRACESYSGOOD) != 0
          || ::ptrace(PTRACE_INTERRUPT, thread, nullptr, nullptr) != 0) {
        counts_->state = -1;
        return;
      }
    }
    for (std::size_t stopped = 0;;) {
      int status = 0;
      const pid_t thread = ::waitpid(-1, &status, __WALL);
      if (thread < 0) return;
      if (!WIFSTOPPED(status)) continue;
      int signal = 0;
      if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
        count(thread);
      } else if (status >> 16 == PTRACE_EVENT_STOP) {
        if (++stopped == threads_.size()) counts_->state = 1;
      } else {
        signal = WSTOPSIG(status);
      }
      ::ptrace(PTRACE_SYSCALL, thread, nullptr, signal);
    }
  }

  void count(pid_t thread) {
    __ptrace_syscall_info what{};
    ::ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof what, &what);
    if (what.op != PTRACE_SYSCALL_INFO_ENTRY) return;
    ++counts_->calls;
    if (waits(what.entry.nr)) ++counts_->sleeps;
  }

  std::vector<pid_t> threads_;
  counts* counts_ = nullptr;
  std::unique_ptr<child> traces_;
};

}  // namespace berth::bench
