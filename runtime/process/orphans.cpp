#include "runtime/process/orphans.hpp"

#include "runtime/base/unique_fd.hpp"

#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::process {
namespace {

constexpr std::chrono::milliseconds orphans_max{1'000};

// The kernel's list of the children one thread made: decimal pids with a blank after each.
std::string children_of(const std::string& thread) {
  const base::unique_fd list(
      ::open(("/proc/self/task/" + thread + "/children").c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  std::array<char, 4096> part{};
  for (ssize_t got = 0; list && (got = ::read(list.get(), part.data(), part.size())) > 0;)
    text.append(part.data(), static_cast<std::size_t>(got));
  return text;
}

void kill_each(std::string_view pids) {
  while (!pids.empty()) {
    pid_t pid = 0;
    const auto read = std::from_chars(pids.data(), pids.data() + pids.size(), pid);
    if (read.ec == std::errc() && pid > 1) ::kill(pid, SIGKILL);
    const auto blank = pids.find(' ');
    pids.remove_prefix(blank == std::string_view::npos ? pids.size() : blank + 1);
  }
}

}  // namespace

void kill_children() noexcept {
  std::error_code ignored;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task", ignored))
    kill_each(children_of(thread.path().filename().string()));
}

void kill_orphans() noexcept {
  const auto deadline = std::chrono::steady_clock::now() + orphans_max;
  while (std::chrono::steady_clock::now() < deadline) {
    kill_children();
    const pid_t gone = ::waitpid(-1, nullptr, WNOHANG);
    if (gone < 0) return;
    if (gone == 0) ::poll(nullptr, 0, 1);
  }
}

}  // namespace berth::process
