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
/// A quick look takes a tenth of each.
constexpr std::size_t quick_part = 10;

std::size_t rounds(const bench_run& run, std::size_t usual) {
  return run.how.quick ? usual / quick_part : usual;
}

double count(std::uint64_t of) {
  return static_cast<double>(of);
}

void share_rows(const bench_run& run) {
  if (!run.wants_any("queue.share", {"least", "most", "returning"})) return;
  double least = 1e9;
  double most = 0;
  double missing = 0;
  for (std::uint64_t i = 0; i < rounds(run, share_rounds); ++i) {
    const auto ratio = share_saturated(seed + i).ratio;
    least = std::min(least, ratio);
    most = std::max(most, ratio);
    const auto back = share_returning(seed + i);
    missing = std::max(missing, static_cast<double>(back.due_milli - back.held_milli));
  }
  const std::string what = "two teams, weights 2:1, one hour of device time, ";
  run.tell(absolute("queue.share.least", what + "least ratio", least, "ratio", ">= 1.96"));
  run.tell(absolute("queue.share.most", what + "largest ratio", most, "ratio", "<= 2.04"));
  run.tell(absolute("queue.share.returning",
                    "a returning team's devices short of its share after the grace", missing,
                    "milli", "<= 0"));
}

void backfill_rows(const bench_run& run) {
  if (!run.wants_any("queue.backfill", {"promises", "late", "wait", "makespan"})) return;
  const auto made = backfill_traces(seed, rounds(run, traces));
  run.tell(absolute("queue.backfill.promises", "1,000 traces with backfill, promised starts",
                    count(made.promises), "starts", ">= 1"));
  run.tell(absolute("queue.backfill.late",
                    "1,000 traces with backfill, promised starts that came late", count(made.late),
                    "starts", "<= 0"));
  run.tell(absolute("queue.backfill.wait", "mean wait with backfill over that without",
                    made.wait_ratio, "ratio", "<= 0.8"));
  run.tell(absolute("queue.backfill.makespan",
                    "makespan with backfill over that without, worst trace",
                    made.makespan_ratio_max, "ratio", "<= 1.1"));
}

void prediction_rows(const bench_run& run) {
  if (!run.wants_any("queue.what_if", {"right", "disturbed"})) return;
  const auto asked = rounds(run, questions);
  const auto told = predictions(seed, asked);
  const auto unit = "of " + std::to_string(told.asked);
  run.tell(absolute("queue.what_if.right", "predictions that equal what followed",
                    count(told.right), unit, ">= " + std::to_string(asked)));
  run.tell(absolute("queue.what_if.disturbed", "questions that changed the queue",
                    count(told.disturbed), unit, "<= 0"));
}

void move_rows(const bench_run& run) {
  if (!run.wants_any("queue.moves", {"solvable", "wrong"})) return;
  const auto moved = moves_against_brute_force(seed, rounds(run, clusters));
  const auto unit = "of " + std::to_string(moved.clusters);
  run.tell(absolute("queue.moves.solvable", "clusters of 2 to 6 nodes that moving together helps",
                    count(moved.solvable), unit, ">= 1"));
  run.tell(absolute("queue.moves.wrong", "moves that differ from the fewest by brute force",
                    count(moved.wrong), unit, "<= 0"));
}

}  // namespace

void queue_rows(const bench_run& run) {
  share_rows(run);
  backfill_rows(run);
  prediction_rows(run);
  move_rows(run);
}

}  // namespace berth::bench
