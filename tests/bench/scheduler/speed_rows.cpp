#include "tests/bench/scheduler/churn.hpp"
#include "tests/bench/scheduler/rows.hpp"

#include <algorithm>
#include <map>

namespace berth::bench {
namespace {

constexpr int rounds_usual = 5;
constexpr std::size_t decisions_per_round = 100'000;
constexpr std::size_t gangs_per_round = 5'000;
constexpr double others_max = 0.1;

/// Runs `round` until `rounds` of them were quiet, at most six times as many; says in `into` how that went.
void quiet_rounds(row& into, const settings& how, const std::function<void()>& round) {
  const int rounds = how.quick ? 1 : rounds_usual;
  int quiet = 0;
  for (int tries = 0; quiet < rounds && tries < 6 * rounds; ++tries) {
    const foreign_load load({});
    round();
    if (load.cores() <= others_max) {
      ++quiet;
    } else {
      ++into.void_rounds;
    }
  }
  into.rounds = quiet;
  into.is_void = quiet < rounds;
  if (into.is_void) into.note = "others used the machine";
}

/// The rounds of `from` for a row that was taken in them.
row in_rounds(row made, const row& from) {
  made.rounds = from.rounds;
  made.void_rounds = from.void_rounds;
  made.is_void = from.is_void;
  made.note = from.note;
  return made;
}

struct speed_bars {
  const char* per_second;
  const char* p99_us;
  const char* pause_ms;
};

/// Best of the rounds; the longest pause is that of all rounds, since learning falls into some of them only.
void decisions(const bench_run& run,
               const std::vector<sched::demand>& mix,
               const std::string& policy,
               const speed_bars& bars) {
  const auto group = "speed." + policy;
  if (!run.wants_any(group, {"decisions", "p99", "longest"})) return;
  churn cluster(10'000, policy, mix, 1);
  cluster.fill_up();
  decision_times best;
  best.p99_us = 1e9;
  row base;
  quiet_rounds(base, run.how, [&] {
    const auto times = cluster.run(decisions_per_round);
    best.per_second = std::max(best.per_second, times.per_second);
    best.p99_us = std::min(best.p99_us, times.p99_us);
    best.longest_ms = std::max(best.longest_ms, times.longest_ms);
  });
  const auto tell = [&](const char* last, const std::string& what, double value,
                        const std::string& unit, const std::string& bar) {
    run.tell(in_rounds(
        absolute(group + "." + last, policy + " on 10,000 nodes, " + what, value, unit, bar),
        base));
  };
  tell("decisions", "decisions a second", best.per_second, "1/s", bars.per_second);
  tell("p99", "99th percentile of a decision", best.p99_us, "us", bars.p99_us);
  tell("longest", "longest pause of any decision", best.longest_ms, "ms", bars.pause_ms);
}

/// The nearest domain level that holds `ranks` devices with their processor share, by counting.
sched::proximity best_domain(const sched::inventory& nodes, const sched::demand& wanted) {
  std::map<std::uint32_t, std::uint32_t> racks;
  std::map<std::uint32_t, std::uint32_t> zones;
  for (sched::node_id node = 0; node < nodes.size(); ++node) {
    std::uint32_t room = 0;
    for (const auto milli : nodes.milli(node))
      room += milli == 1000 ? 1 : 0;
    room = std::min(room,
                    static_cast<std::uint32_t>(nodes.row(node).cpu_milli / wanted.each.cpu_milli));
    racks[nodes.rack(node)] += room;
    zones[nodes.zone(node)] += room;
  }
  const auto holds = [&](const auto& one) { return one.second >= wanted.gang->ranks_min; };
  if (std::any_of(racks.begin(), racks.end(), holds)) return sched::proximity::rack;
  if (std::any_of(zones.begin(), zones.end(), holds)) return sched::proximity::zone;
  return sched::proximity::cluster;
}

}  // namespace

void speed_rows(const bench_run& run) {
  const auto mix = default_mix(run.data);
  decisions(run, mix, "fgd", {">= 150000", "<= 150", ""});
  decisions(run, mix, "fill", {">= 30000", "<= 500", "<= 50"});
}

void gang_rows(const bench_run& run) {
  if (!run.wants_any("gang", {"p99", "level"})) return;
  const auto mix = default_mix(run.data);
  churn cluster(1'250, "fill", mix, 2);
  cluster.fill_up();
  sched::demand gang;
  gang.name = "gang of 32";
  gang.each = {6'000, 0, 1, 1000, 0};
  gang.gang = sched::gang_wish{32, 32};
  const auto cost = clock_cost();
  double best_us = 1e9;
  std::size_t worse = 0;
  row base;
  quiet_rounds(base, run.how, [&] {
    std::vector<std::int64_t> times;
    for (std::size_t call = 0; call < gangs_per_round; ++call) {
      cluster.step();
      const auto start = thread_nanoseconds();
      const auto placed = sched::plan(cluster.nodes(), cluster.by(), gang);
      times.push_back(thread_nanoseconds() - start - cost);
      if (!placed || placed->within != best_domain(cluster.nodes(), gang)) ++worse;
    }
    best_us = std::min(best_us, quantile_us(times, 0.99));
  });
  run.tell(in_rounds(
      absolute("gang.p99", "gang of 32 on 1,250 nodes, 99th percentile", best_us, "us", "<= 50"),
      base));
  run.tell(absolute("gang.level",
                    "gang of 32 on 1,250 nodes, calls that missed the best level by brute force",
                    static_cast<double>(worse), "calls", "<= 0"));
}

}  // namespace berth::bench
