#pragma once
// Processes of the bench's own: what /proc says of everything this program started, directly or not. The programs of a
// cluster end with it and are found by their names, as a user's `ps` would.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

namespace berth::bench {

/// One process as /proc/PID/stat tells it. A value.
struct process_info {
  pid_t pid = 0;
  pid_t parent = 0;
  std::string name;  ///< at most 15 characters: "berth-superviso"
  double cpu_s = 0;  ///< user and system, with that of the children it waited for
};

/// The process `pid`, without a name when it is gone.
[[nodiscard]] inline process_info read_process(pid_t pid) {
  process_info one;
  one.pid = pid;
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(in, line);
  const auto open = line.find('(');
  const auto close = line.rfind(')');
  if (open == std::string::npos || close == std::string::npos) return one;
  one.name = line.substr(open + 1, close - open - 1);
  std::istringstream fields(line.substr(close + 2));
  std::string skipped;
  fields >> skipped >> one.parent;
  for (int field = 5; field < 14; ++field)
    fields >> skipped;
  double ticks = 0;
  for (int field = 14; field <= 17; ++field) {  // utime, stime, cutime, cstime
    double more = 0;
    fields >> more;
    ticks += more;
  }
  one.cpu_s = ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
  return one;
}

/// All living processes this one started, directly or not.
[[nodiscard]] inline std::vector<process_info> descendants() {
  std::multimap<pid_t, process_info> by_parent;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const auto leaf = entry.path().filename().string();
    if (leaf.find_first_not_of("0123456789") != std::string::npos) continue;
    auto one = read_process(static_cast<pid_t>(std::stol(leaf)));
    by_parent.emplace(one.parent, std::move(one));
  }
  std::vector<process_info> found;
  std::vector<pid_t> open{::getpid()};
  while (!open.empty()) {
    const auto [first, last] = by_parent.equal_range(open.back());
    open.pop_back();
    for (auto one = first; one != last; ++one) {
      found.push_back(one->second);
      open.push_back(one->second.pid);
    }
  }
  return found;
}

/// Those descendants whose name starts with `name`.
[[nodiscard]] inline std::vector<pid_t> descendants_called(std::string_view name) {
  std::vector<pid_t> pids;
  for (const auto& one : descendants())
    if (one.name.starts_with(name)) pids.push_back(one.pid);
  return pids;
}

/// Memory of a process in millions of bytes. A value.
struct memory_use {
  double proportional = 0;  ///< shared pages by their sharers
  double own = 0;           ///< pages nobody else has
};

[[nodiscard]] inline memory_use memory_of(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/smaps_rollup");
  memory_use use;
  for (std::string word; in >> word;) {
    double kib = 0;
    if (word == "Pss:" && in >> kib) use.proportional = kib * 1024 / 1e6;
    if ((word == "Private_Clean:" || word == "Private_Dirty:") && in >> kib)
      use.own += kib * 1024 / 1e6;
  }
  return use;
}

/// Processor seconds of all threads of a process, to the nanosecond; what threads used that have ended is not in it.
[[nodiscard]] inline double threads_cpu_s(pid_t pid) {
  double all = 0;
  std::error_code gone;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", gone)) {
    double ns = 0;
    std::ifstream(task.path() / "schedstat") >> ns;
    all += ns * 1e-9;
  }
  return all;
}

}  // namespace berth::bench
