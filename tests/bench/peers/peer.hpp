#pragma once
// The same small call, made with what people use today: how every peer program measures and reports.
//
// A peer program starts its server as a child process. For each line it reads it takes one round and prints one line of
// JSON: its median synchronous round trip in microseconds; at the end of its input it ends. peers_bench asks and
// compares; nothing of berth is linked here.

#include "tests/bench/support/row.hpp"

#include <cstdio>
#include <functional>
#include <iostream>
#include <signal.h>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace berth::bench {

/// A server in a child process; killed and reaped when the owner goes. `serve` writes the port it listens on to the
/// descriptor it is given and never returns.
class peer_server {
 public:
  explicit peer_server(const std::function<void(int)>& serve) {
    int ends[2];
    if (::pipe(ends) != 0) std::exit(3);
    child_ = ::fork();
    if (child_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::close(ends[0]);
      serve(ends[1]);
      ::_exit(0);
    }
    ::close(ends[1]);
    if (::read(ends[0], &port_, sizeof port_) != sizeof port_) port_ = 0;
    ::close(ends[0]);
  }

  peer_server(const peer_server&) = delete;
  peer_server& operator=(const peer_server&) = delete;

  ~peer_server() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }

  [[nodiscard]] unsigned short port() const { return port_; }

 private:
  pid_t child_ = -1;
  unsigned short port_ = 0;
};

inline void announce(int descriptor, unsigned short port) {
  if (::write(descriptor, &port, sizeof port) != sizeof port) std::exit(3);
  ::close(descriptor);
}

/// Rounds as they are asked for: the median of `calls` calls after as many warm ones as a tenth, in microseconds, printed
/// as {"peer":…,"p50_us":…}.
inline void measure_peer(const char* name, int calls, const std::function<void(int)>& call) {
  for (std::string asked; std::getline(std::cin, asked);) {
    for (int i = 0; i < calls / 10; ++i)
      call(i);
    std::vector<double> taken;
    taken.reserve(static_cast<std::size_t>(calls));
    for (int i = 0; i < calls; ++i) {
      const double from = now_s();
      call(i);
      taken.push_back((now_s() - from) * 1e6);
    }
    std::printf("{\"peer\":\"%s\",\"p50_us\":%.3f,\"p99_us\":%.3f,\"calls\":%d}\n", name,
                quantile(taken, 0.5), quantile(taken, 0.99), calls);
    std::fflush(stdout);
  }
}

}  // namespace berth::bench
