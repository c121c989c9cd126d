// The queue's figures against their bars.
#include "tests/scheduler/queue_experiments.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace berth::sched::test;

struct row {
  std::string name;
  std::string value;
  std::string bar;
  bool met = false;
};

struct options {
  bool json = false;
  bool check = false;
  std::uint64_t seed = 1;
  std::size_t rounds = 1000;
};

row shares(const options& with) {
  double least = 1e9;
  double most = 0;
  for (std::uint64_t i = 0; i < std::max<std::size_t>(with.rounds / 20, 5); ++i) {
    const auto ratio = share_saturated(with.seed + i).ratio;
    least = std::min(least, ratio);
    most = std::max(most, ratio);
  }
  return {"share_two_to_one", fmt::format("{:.4f}-{:.4f}", least, most), "1.96-2.04",
          least >= 1.96 && most <= 2.04};
}

row returning(const options& with) {
  std::int64_t least = 1 << 30;
  std::int64_t due = 0;
  for (std::uint64_t i = 0; i < std::max<std::size_t>(with.rounds / 20, 5); ++i) {
    const auto figures = share_returning(with.seed + i);
    least = std::min(least, figures.held_milli);
    due = figures.due_milli;
  }
  return {"returning_team_milli_after_grace", fmt::format("{}", least), fmt::format(">= {}", due),
          least >= due};
}

std::vector<row> backfilled(const options& with) {
  const auto figures = backfill_traces(with.seed, with.rounds);
  return {{"backfill_promises_late", fmt::format("{} of {}", figures.late, figures.promises), "0",
           figures.late == 0 && figures.promises > 0},
          {"backfill_mean_wait_ratio", fmt::format("{:.4f}", figures.wait_ratio), "<= 0.8",
           figures.wait_ratio <= 0.8},
          {"backfill_makespan_ratio_worst", fmt::format("{:.4f}", figures.makespan_ratio_max),
           "<= 1.1", figures.makespan_ratio_max <= 1.1}};
}

row predicted(const options& with) {
  const auto figures = predictions(with.seed, with.rounds);
  return {"what_if_right",
          fmt::format("{} of {}, {} disturbed", figures.right, figures.asked, figures.disturbed),
          "all, 0 disturbed", figures.right == figures.asked && figures.disturbed == 0};
}

row moved(const options& with) {
  const auto clusters = std::max<std::size_t>(with.rounds / 5, 20);
  const auto figures = moves_against_brute_force(with.seed, clusters);
  return {"defragmentation_wrong",
          fmt::format("{} of {} ({} solvable)", figures.wrong, figures.clusters, figures.solvable),
          "0", figures.wrong == 0 && figures.solvable > 0};
}

void print(const row& one, const options& with) {
  if (with.json)
    fmt::print(
        "{{\"bench\":\"queue\",\"row\":\"{}\",\"value\":\"{}\",\"bar\":\"{}\",\"met\":{},\"seed\":{"
        "}}}\n",
        one.name, one.value, one.bar, one.met, with.seed);
  else
    fmt::print("{:<34} {:<26} bar {:<18} {}\n", one.name, one.value, one.bar,
               one.met ? "met" : "MISSED");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  options with;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const bool has_value = i + 1 < argc;
    if (word == "--check")
      with.check = true;
    else if (word == "--quick")
      with.rounds = 100;
    else if (word == "-o" && has_value)
      with.json = std::string_view(argv[++i]) == "json";
    else if (word == "--seed" && has_value)
      with.seed = std::strtoull(argv[++i], nullptr, 0);
    else {
      fmt::print(stderr, "usage: bench_queue [-o table|json] [--check] [--seed N] [--quick]\n");
      return 2;
    }
  }
  bool all = true;
  const auto take = [&](const row& one) {
    print(one, with);
    all = all && one.met;
  };
  take(shares(with));
  take(returning(with));
  for (const auto& one : backfilled(with))
    take(one);
  take(predicted(with));
  take(moved(with));
  return with.check && !all ? 1 : 0;
}
