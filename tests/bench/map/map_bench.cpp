// map over two replicas of which one is killed halfway: every item has exactly one result.

#include "tests/bench/support/scratch.hpp"
#include "tests/bench/support/settings.hpp"

#include <algorithm>
#include <berth/berth.hpp>
#include <berth/ship.hpp>
#include <berth/testing.hpp>
#include <signal.h>

namespace berth::bench {
namespace {

struct waited {
  int item = 0;
  int pid = 0;
};

constexpr const char* source = R"(#include <berth/module.hpp>
#include <ctime>
#include <unistd.h>
struct waited { int item = 0; int pid = 0; };
waited wait_a_millisecond(int item) {
  const timespec span{0, 1000000};
  ::clock_nanosleep(CLOCK_MONOTONIC, 0, &span, nullptr);
  return {item, ::getpid()};
}
BERTH_EXPORT(&wait_a_millisecond).params("item").idempotent();
)";

/// What came of the items.
struct outcome {
  std::size_t right = 0;
  std::size_t errors = 0;
  std::size_t twice = 0;  ///< more than one result, or another item's
  std::size_t pids = 0;
  double took_s = 0;
  std::string problem;
};

outcome map_and_kill(int count) {
  const scratch folder;
  ::setenv("BERTH_CACHE_DIR", folder.at("cache").c_str(), 1);
  const testing::cluster lab;
  ship_request what;
  what.sources = {folder.write("wait.cpp", source)};
  what.as = "bench/wait";
  what.why = "bench";
  what.replicas = 2;
  ship(lab.rt(), what);
  const auto f = lab.rt().function<waited(int)>("bench/wait");
  std::vector<int> items(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i)
    items[static_cast<std::size_t>(i)] = i;
  std::vector<int> results(items.size(), 0);
  std::vector<int> pids;
  outcome seen;
  std::size_t done = 0;
  const double from = now_s();
  for (auto& one : f.with({.in_flight = 64, .ordered = false}).map(items)) {
    if (++results[one.index] > 1) ++seen.twice;
    if (!one.outcome) {
      if (seen.errors++ == 0) seen.problem = one.outcome.error().to_string();
    } else {
      const waited& got = *one.outcome;
      got.item == static_cast<int>(one.index) ? ++seen.right : ++seen.twice;
      if (std::find(pids.begin(), pids.end(), got.pid) == pids.end()) pids.push_back(got.pid);
    }
    if (++done == items.size() / 2) ::kill(pids.front(), SIGKILL);
  }
  seen.took_s = now_s() - from;
  seen.pids = pids.size();
  return seen;
}

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) {
  using namespace berth::bench;
  const settings how = read_settings(argc, argv);
  if (!how.wants("map.killed")) return 0;
  const int count = how.quick ? 1000 : 10'000;
  const auto seen = map_and_kill(count);
  row r = row_of("map.killed",
                 "map of 10,000 items, one of 2 replicas killed halfway: items with one result", "",
                 ">= 10000");
  r.ours = static_cast<double>(seen.right);
  if (how.quick) r.bar = ">= 1000";
  r.judged = r.worst = seen.twice == 0 ? r.ours : 0;
  r.rounds = 1;
  r.note = std::to_string(seen.errors) + " errors, " + std::to_string(seen.twice)
           + " items with a second or a wrong result, " + std::to_string(seen.pids)
           + " worker processes, " + std::to_string(static_cast<int>(seen.took_s * 1000)) + " ms";
  if (!seen.problem.empty()) r.note += "; " + seen.problem;
  print(r);
  return 0;
}
