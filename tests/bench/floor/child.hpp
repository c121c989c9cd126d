#pragma once
// A child process of a floor: killed and reaped when its owner goes.

#include <cstddef>
#include <cstdlib>
#include <functional>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::bench {

class child {
 public:
  explicit child(const std::function<void()>& body) : pid_(::fork()) {
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    body();
    ::_exit(0);
  }

  child(const child&) = delete;
  child& operator=(const child&) = delete;

  ~child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  [[nodiscard]] pid_t pid() const { return pid_; }

  /// Waits for its own end.
  void join() { ::waitpid(pid_, nullptr, 0); }

 private:
  pid_t pid_;
};

/// Memory that children share; exits when there is none.
inline void* shared_memory(std::size_t bytes) {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) std::exit(3);
  return at;
}

}  // namespace berth::bench
