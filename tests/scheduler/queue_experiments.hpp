#pragma once
// Experiments on the queue: each measures one promise on made-up work and answers with figures. The tests run a few,
// the benchmark runs all and compares them with the bars.

#include <cstddef>
#include <cstdint>
#include <string>

namespace berth::sched::test {

/// Two teams with weights 2 : 1 keep 12 devices saturated for a simulated hour.
struct share_figures {
  double ratio = 0;  ///< device time of the heavier team over the lighter one's
  std::uint64_t evicted = 0;
};

[[nodiscard]] share_figures share_saturated(std::uint64_t seed);

/// One team has all devices; the other comes back. Devices it holds against its share, when the grace has passed.
struct return_figures {
  std::int64_t held_milli = 0;
  std::int64_t due_milli = 0;
};

[[nodiscard]] return_figures share_returning(std::uint64_t seed);

/// Random traces with exact limits, with and without backfill.
struct backfill_figures {
  std::size_t traces = 0;
  std::uint64_t promises = 0;
  std::uint64_t late = 0;         ///< promised starts that came late or never
  double wait_ratio = 0;          ///< mean wait with backfill over that without
  double makespan_ratio_max = 0;  ///< the worst trace
};

[[nodiscard]] backfill_figures backfill_traces(std::uint64_t seed, std::size_t traces);

/// Predictions of what an arrival, two more nodes or a cancellation would do, against what then happens.
struct prediction_figures {
  std::size_t asked = 0;
  std::size_t right = 0;
  std::size_t disturbed = 0;  ///< questions after which the queue was not as before
};

[[nodiscard]] prediction_figures predictions(std::uint64_t seed, std::size_t questions);

/// Fragmented clusters of 2 to 6 nodes, against a search of all moves.
struct move_figures {
  std::size_t clusters = 0;
  std::size_t solvable = 0;
  std::size_t wrong =
      0;  ///< another number of moves than the least there is, or a plan that does not work
};

[[nodiscard]] move_figures moves_against_brute_force(std::uint64_t seed, std::size_t clusters);

}  // namespace berth::sched::test
