#include "tests/bench/scheduler/rows.hpp"
#include "tests/scheduler/queue_experiments.hpp"

#include <algorithm>

namespace berth::bench {
namespace {

using namespace sched::test;

constexpr std::uint64_t seed = 1;
constexpr std::size_t share_rounds = 50;
constexpr std::size_t traces = 1000;
constexpr std::size_t questions = 1000;
constexpr std::size_t clusters = 200;

double count(std::uint64_t of) {
  return static_cast<double>(of);
}

void share_rows(const row_sink& sink) {
  double least = 1e9;
  double most = 0;
  double missing = 0;
  for (std::uint64_t i = 0; i < share_rounds; ++i) {
    const auto ratio = share_saturated(seed + i).ratio;
    least = std::min(least, ratio);
    most = std::max(most, ratio);
    const auto back = share_returning(seed + i);
    missing = std::max(missing, static_cast<double>(back.due_milli - back.held_milli));
  }
  const std::string what = "two teams, weights 2:1, one hour of device time, ";
  sink(absolute("queue.share.least", what + "least ratio", least, "ratio", ">= 1.96"));
  sink(absolute("queue.share.most", what + "largest ratio", most, "ratio", "<= 2.04"));
  sink(absolute("queue.returning", "a returning team's devices short of its share after the grace",
                missing, "milli", "<= 0"));
}

void backfill_rows(const row_sink& sink) {
  const auto made = backfill_traces(seed, traces);
  sink(absolute("queue.backfill.promises", "1,000 traces with backfill, promised starts",
                count(made.promises), "starts", ">= 1"));
  sink(absolute("queue.backfill.late", "1,000 traces with backfill, promised starts that came late",
                count(made.late), "starts", "<= 0"));
  sink(absolute("queue.backfill.wait", "mean wait with backfill over that without", made.wait_ratio,
                "ratio", "<= 0.8"));
  sink(absolute("queue.backfill.makespan", "makespan with backfill over that without, worst trace",
                made.makespan_ratio_max, "ratio", "<= 1.1"));
}

}  // namespace

void queue_rows(const row_sink& sink) {
  share_rows(sink);
  backfill_rows(sink);
  const auto told = predictions(seed, questions);
  sink(absolute("queue.what_if.right", "predictions that equal what followed", count(told.right),
                "of " + std::to_string(told.asked), ">= " + std::to_string(questions)));
  sink(absolute("queue.what_if.disturbed", "questions that changed the queue",
                count(told.disturbed), "of " + std::to_string(told.asked), "<= 0"));
  const auto moved = moves_against_brute_force(seed, clusters);
  sink(absolute("queue.moves.solvable", "clusters of 2 to 6 nodes that moving together helps",
                count(moved.solvable), "of " + std::to_string(moved.clusters), ">= 1"));
  sink(absolute("queue.moves.wrong", "moves that differ from the fewest by brute force",
                count(moved.wrong), "of " + std::to_string(moved.clusters), "<= 0"));
}

}  // namespace berth::bench
