#pragma once
// One row of the figures: floor and ours taken in turn, their ratio, and the bar it has to clear.
//
// Every bench program measures its rows itself (guides in tests/bench/README.md) and prints each as one line of JSON;
// tools/bench runs the programs, prints the table and judges. Nothing here links berth, so floors can use it too.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <vector>

namespace berth::bench {

[[nodiscard]] inline double now_s() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

/// The q-quantile (0…1) of what was measured; 0 for nothing.
[[nodiscard]] inline double quantile(std::vector<double> of, double q) {
  if (of.empty()) return 0;
  const auto at = static_cast<std::size_t>(q * static_cast<double>(of.size() - 1) + 0.5);
  std::nth_element(of.begin(), of.begin() + static_cast<std::ptrdiff_t>(at), of.end());
  return of[at];
}

[[nodiscard]] inline double median(std::vector<double> of) {
  return quantile(std::move(of), 0.5);
}

/// Processor seconds all processes of the machine have used, from /proc/stat (user, nice, system, irq, softirq).
[[nodiscard]] inline double machine_busy_s() {
  std::ifstream in("/proc/stat");
  std::string word;
  double user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0;
  in >> word >> user >> nice >> system >> idle >> iowait >> irq >> softirq;
  return (user + nice + system + irq + softirq) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

/// Processor seconds a process has used so far (user and system), from /proc; 0 when it is gone.
[[nodiscard]] inline double process_cpu_s(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(in, line);
  const auto after = line.rfind(')');
  if (after == std::string::npos) return 0;
  std::istringstream fields(line.substr(after + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i)
    fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

/// Processor seconds of this process and of its ended children.
[[nodiscard]] inline double own_cpu_s() {
  double all = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage used{};
    ::getrusage(who, &used);
    all += static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec)
           + static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
  }
  return all;
}

/// Says how much of one core processes that are not the bench's took since it was made. `ours` lists the bench's live
/// children.
class foreign_load {
 public:
  explicit foreign_load(std::vector<pid_t> ours)
      : ours_(std::move(ours)), busy_(machine_busy_s()), own_(own()), at_(now_s()) {}

  [[nodiscard]] double cores() const {
    const double wall = now_s() - at_;
    return wall <= 0 ? 0 : ((machine_busy_s() - busy_) - (own() - own_)) / wall;
  }

 private:
  [[nodiscard]] double own() const {
    double all = own_cpu_s();
    for (const pid_t pid : ours_)
      all += process_cpu_s(pid);
    return all;
  }

  std::vector<pid_t> ours_;
  double busy_, own_, at_;
};

/// A row as it is printed. `bar` is judged against `judged`: "<= 2" or ">= 0.25".
struct row {
  std::string id;    ///< stable word: "call.sync.ring"
  std::string what;  ///< for people
  std::string unit;  ///< of floor and ours: "us", "1/s", "ms", "bytes"
  double floor = 0;  ///< median over the rounds; 0 when the row has none
  double ours = 0;
  double judged = 0;  ///< what the bar is about: a ratio, or `ours` for an absolute bar
  std::string bar;
  double worst = 0;  ///< the judged figure of the worst round
  int rounds = 0;
  int void_rounds = 0;  ///< left after repeats
  std::string note;     ///< lane, regime, machine state; why it is void or absent
  bool is_void = false;
  bool is_absent = false;

  [[nodiscard]] bool passes() const {
    const double limit = std::stod(bar.substr(bar.find(' ') + 1));
    return bar.front() == '<' ? judged <= limit : judged >= limit;
  }

  [[nodiscard]] const char* verdict() const {
    if (is_absent) return "absent";
    if (is_void) return "void";
    return bar.empty() ? "info" : passes() ? "pass" : "miss";
  }
};

inline std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20)
      out += ' ';
    else
      out += c;
  }
  return out + "\"";
}

/// One line of JSON on standard output.
inline void print(const row& r) {
  std::printf(
      "{\"id\":%s,\"what\":%s,\"unit\":%s,\"floor\":%.6g,\"ours\":%.6g,\"judged\":%.6g,\"bar\":%s,"
      "\"worst\":%.6g,"
      "\"rounds\":%d,\"void_rounds\":%d,\"verdict\":\"%s\",\"note\":%s}\n",
      quoted(r.id).c_str(), quoted(r.what).c_str(), quoted(r.unit).c_str(), r.floor, r.ours,
      r.judged, quoted(r.bar).c_str(), r.worst, r.rounds, r.void_rounds, r.verdict(),
      quoted(r.note).c_str());
  std::fflush(stdout);
}

/// One measurement of a round: the figure, and what makes the round void (0 when nothing does).
using measure = std::function<double()>;

/// Takes `rounds` pairs floor, ours, floor, ours …; a pair is void when foreign processes took more than a tenth of a
/// core, and is repeated, at most `5 * rounds` times in all. Judges the median of the pairs' ratios ours / floor
/// (`invert`: floor is a rate and so is ours; the ratio stays ours / floor). Fills floor, ours, judged, worst, rounds.
inline row& take_pairs(row& r,
                       int rounds,
                       const std::vector<pid_t>& ours_pids,
                       const measure& floor,
                       const measure& ours) {
  std::vector<double> floors, own, ratios;
  int voids = 0;
  for (int tries = 0; static_cast<int>(ratios.size()) < rounds && tries < 6 * rounds; ++tries) {
    foreign_load load(ours_pids);
    const double f = floor();
    const double o = ours();
    if (load.cores() > 0.1) {
      ++voids;
      if (tries < 5 * rounds) continue;
    }
    floors.push_back(f);
    own.push_back(o);
    ratios.push_back(f > 0 ? o / f : 0);
  }
  r.floor = median(floors);
  r.ours = median(own);
  r.judged = median(ratios);
  r.rounds = static_cast<int>(ratios.size());
  r.is_void = r.rounds < rounds;
  r.void_rounds = r.is_void ? voids : 0;
  const bool smaller_is_better = r.bar.empty() || r.bar.front() == '<';
  if (!ratios.empty())
    r.worst = smaller_is_better ? *std::max_element(ratios.begin(), ratios.end())
                                : *std::min_element(ratios.begin(), ratios.end());
  return r;
}

}  // namespace berth::bench
