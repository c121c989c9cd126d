#pragma once
// A peer program at work: a child that takes one round for each line it is sent.

#include <array>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace berth::bench {

/// A resource: ends the child, which it has told by the end of its input, when it goes.
class peer_process {
 public:
  explicit peer_process(const std::vector<std::string>& command) {
    std::array<int, 2> asks{}, says{};
    if (::pipe(asks.data()) != 0 || ::pipe(says.data()) != 0) std::exit(3);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);
      ::dup2(asks[0], STDIN_FILENO);
      ::dup2(says[1], STDOUT_FILENO);
      for (const int one : {asks[0], asks[1], says[0], says[1]})
        ::close(one);
      std::vector<char*> argv;
      for (const auto& word : command)
        argv.push_back(const_cast<char*>(word.c_str()));
      argv.push_back(nullptr);
      ::execv(argv.front(), argv.data());
      ::_exit(3);
    }
    ::close(asks[0]);
    ::close(says[1]);
    asks_ = asks[1];
    says_ = says[0];
  }

  peer_process(const peer_process&) = delete;
  peer_process& operator=(const peer_process&) = delete;

  ~peer_process() {
    ::close(asks_);
    ::close(says_);
    for (int waited_ms = 0; waited_ms < 10'000; waited_ms += 10) {
      if (::waitpid(pid_, nullptr, WNOHANG) != 0) return;
      ::usleep(10'000);
    }
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  /// Median microseconds a call of one more round; nothing when the peer ended or says nothing for a minute.
  std::optional<double> round() {
    if (::write(asks_, "\n", 1) != 1) return std::nullopt;
    for (auto line = read_line(); !line.empty(); line = read_line())  // some talk while they start
      if (const auto at = line.find("\"p50_us\":"); at != std::string::npos)
        return std::strtod(line.c_str() + at + 9, nullptr);
    return std::nullopt;
  }

 private:
  std::string read_line() {
    std::string line;
    for (char c = 0; c != '\n';) {
      pollfd waits{says_, POLLIN, 0};
      if (::poll(&waits, 1, 60'000) != 1 || ::read(says_, &c, 1) != 1) return {};
      line += c;
    }
    return line;
  }

  pid_t pid_ = -1;
  int asks_ = -1;
  int says_ = -1;
};

}  // namespace berth::bench
