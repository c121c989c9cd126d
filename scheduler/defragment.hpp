#pragma once
// Defragmentation: which running work to move so that a waiting gang finds room.
//
// There may be devices enough, but in pieces. Moving costs whoever is moved its work so far, so the fewest jobs are
// moved, and only when all of them and the gang have a place afterwards.

#include "scheduler/inventory.hpp"
#include "scheduler/placement.hpp"
#include "scheduler/work.hpp"

#include <cstddef>
#include <optional>
#include <vector>

namespace berth::sched {

class policy;

/// A running job that may be moved, and the nodes it may be moved to.
struct movable {
  claim held;
  const demand* wanted = nullptr;  ///< not null; outlives the call
  node_mask allowed;               ///< empty: all
  gpu_time loss = 0;
};

struct relocation_plan {
  struct move {
    std::size_t who = 0;  ///< index into the movable jobs
    placement to;
    friend bool operator==(const move&, const move&) = default;
  };

  std::vector<move> moves;
  placement where;  ///< of the gang, once they are away
  friend bool operator==(const relocation_plan&, const relocation_plan&) = default;
};

/// Up to so many nodes every place is tried for a job that is moved; above, only the policy's own choice.
inline constexpr std::size_t defragment_exact_nodes = 8;
/// Plans that one search may make before it gives up; about 20 ms of them on a small cluster.
inline constexpr std::size_t defragment_plans_max = 40'000;

/// The fewest moves that let `gang` in, and among those one of low loss; nothing when none was found. `nodes` is a
/// scratch copy, unspecified afterwards. On at most `defragment_exact_nodes` nodes, and within `plans_max`, the number
/// of moves is the least there is for jobs of one replica.
[[nodiscard]] std::optional<relocation_plan> fewest_moves(
    inventory& nodes,
    policy& by,
    const demand& gang,
    const std::vector<movable>& jobs,
    const plan_options& options,
    std::size_t plans_max = defragment_plans_max);

}  // namespace berth::sched
