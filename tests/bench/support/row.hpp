#pragma once
// One row of the figures: floor and ours taken in turn, their ratio, and the bar it has to clear.
//
// Every bench program measures its rows itself (guides in tests/bench/README.md) and prints each as one line of JSON;
// tools/bench runs the programs, prints the table and judges. Nothing here links berth, so floors can use it too.

#include "tests/bench/support/processes.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
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

/// Processor seconds a process has used so far, with its ended children; 0 when it is gone.
[[nodiscard]] inline double process_cpu_s(pid_t pid) {
  return read_process(pid).cpu_s;
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

/// Says how much of one core processes that are not the bench's took since it was made. Its own are this process and
/// all it started; `ours` adds others that belong to it.
class foreign_load {
 public:
  explicit foreign_load(std::vector<pid_t> ours)
      : ours_(std::move(ours)), busy_(machine_busy_s()), own_(own()), at_(now_s()) {}

  [[nodiscard]] double cores() const {
    const double wall = now_s() - at_;
    // Both counters come in ticks of their own, so that up to two of them appear or vanish by rounding.
    const double rounding = 2.0 / static_cast<double>(::sysconf(_SC_CLK_TCK));
    const double foreign = (machine_busy_s() - busy_) - (own() - own_) - rounding;
    return wall <= 0 || foreign <= 0 ? 0 : foreign / wall;
  }

 private:
  [[nodiscard]] double own() const {
    std::map<pid_t, double> each;
    for (const pid_t pid : ours_)
      each[pid] = process_cpu_s(pid);
    for (const auto& one : descendants())
      each[one.pid] = one.cpu_s;
    double all = own_cpu_s();
    for (const auto& [pid, used] : each)
      all += used;
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
  int void_rounds = 0;  ///< that were repeated
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

/// One measurement of a round.
using measure = std::function<double()>;

/// What a row is judged by: of floor and ours of one pair.
using judgement = double (*)(double floor, double ours);

inline double ratio_of(double floor, double ours) {
  return floor > 0 ? ours / floor : 0;
}

inline double difference_of(double floor, double ours) {
  return ours - floor;
}

/// Floor and ours, taken one after the other.
struct pair_taken {
  double floor = 0;
  double ours = 0;
};

/// Drops the pairs whose floor is twice as slow as the median floor (a rate: half of it); returns how many.
inline std::size_t drop_slow_floors(std::vector<pair_taken>& pairs, bool rate) {
  std::vector<double> floors;
  for (const auto& one : pairs)
    floors.push_back(one.floor);
  const double usual = median(floors);
  return std::erase_if(pairs, [&](const pair_taken& one) {
    return rate ? one.floor < usual / 2 : one.floor > usual * 2;
  });
}

/// Takes `rounds` pairs floor, ours, floor, ours … and judges the median of what `judges` says of each. A pair is void
/// when foreign processes took more than a tenth of a core meanwhile, or its floor was twice as slow as usual; void pairs
/// are repeated, at most `5 * rounds` of them. Fills floor, ours, judged, worst, rounds; what stays short is void.
inline row& take_pairs(row& r,
                       int rounds,
                       const std::vector<pid_t>& ours_pids,
                       const measure& floor,
                       const measure& ours,
                       judgement judges = ratio_of) {
  const bool rate = r.unit.ends_with("/s");
  std::vector<pair_taken> pairs, disturbed;
  int slow = 0;
  for (int tries = 0; tries < 6 * rounds; ++tries) {
    const foreign_load load(ours_pids);
    pair_taken one;
    one.floor = floor();
    one.ours = ours();
    (load.cores() > 0.1 ? disturbed : pairs).push_back(one);
    if (static_cast<int>(pairs.size()) < rounds) continue;
    slow += static_cast<int>(drop_slow_floors(pairs, rate));
    if (static_cast<int>(pairs.size()) >= rounds) break;
  }
  r.is_void = static_cast<int>(pairs.size()) < rounds;
  r.void_rounds = slow + static_cast<int>(disturbed.size());
  if (pairs.empty()) pairs = disturbed;  // void, but worth seeing
  std::vector<double> floors, own, judged;
  for (const auto& one : pairs) {
    floors.push_back(one.floor);
    own.push_back(one.ours);
    judged.push_back(judges(one.floor, one.ours));
  }
  r.floor = median(floors);
  r.ours = median(own);
  r.judged = median(judged);
  r.rounds = static_cast<int>(pairs.size());
  const bool smaller_is_better = r.bar.empty() || r.bar.front() == '<';
  r.worst = quantile(judged, smaller_is_better ? 1 : 0);
  return r;
}

}  // namespace berth::bench
