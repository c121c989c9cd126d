// A few rounds of each experiment; tests/bench/scheduler runs them in full.
#include "tests/scheduler/queue_experiments.hpp"
#include "tests/scheduler/queue_support.hpp"

namespace berth::sched::test {
namespace {

TEST(queue_figures, two_teams_share_two_to_one) {
  const auto seed = seed_of_run();
  for (std::uint64_t i = 0; i < 3; ++i) {
    const auto figures = share_saturated(seed + i);
    EXPECT_GE(figures.ratio, 1.96) << "BERTH_SEED=" << seed + i;
    EXPECT_LE(figures.ratio, 2.04) << "BERTH_SEED=" << seed + i;
  }
}

TEST(queue_figures, a_team_that_returns_has_its_share_within_the_grace) {
  const auto seed = seed_of_run();
  for (std::uint64_t i = 0; i < 3; ++i) {
    const auto figures = share_returning(seed + i);
    EXPECT_GE(figures.held_milli, figures.due_milli) << "BERTH_SEED=" << seed + i;
  }
}

TEST(queue_figures, backfill_keeps_promises_and_shortens_waits) {
  const auto seed = seed_of_run();
  const auto figures = backfill_traces(seed, 10);
  EXPECT_GT(figures.promises, 0u);
  EXPECT_EQ(figures.late, 0u) << "BERTH_SEED=" << seed;
  EXPECT_LE(figures.wait_ratio, 0.8) << "BERTH_SEED=" << seed;
  EXPECT_LE(figures.makespan_ratio_max, 1.1) << "BERTH_SEED=" << seed;
}

TEST(queue_figures, predictions_come_true) {
  const auto seed = seed_of_run();
  const auto figures = predictions(seed, 60);
  EXPECT_EQ(figures.right, figures.asked) << "BERTH_SEED=" << seed;
  EXPECT_EQ(figures.disturbed, 0u) << "BERTH_SEED=" << seed;
}

TEST(queue_figures, as_few_moves_as_a_search_of_all_finds) {
  const auto seed = seed_of_run();
  const auto figures = moves_against_brute_force(seed, 25);
  EXPECT_EQ(figures.wrong, 0u) << "BERTH_SEED=" << seed;
  EXPECT_GT(figures.solvable, 0u) << "BERTH_SEED=" << seed;
}

}  // namespace
}  // namespace berth::sched::test
