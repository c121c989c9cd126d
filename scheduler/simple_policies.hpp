#pragma once
// The published policies that look at one node at a time and learn nothing, and `spread`.
//
// bestfit, dotprod, pack, cluster and random are those of Weng et al., "Beware of Fragmentation" (USENIX ATC 2023), in
// the integer arithmetic of its simulator, so that its table can be replayed. `spread` takes the node with the fewest
// milli allocated per GPU.

#include "scheduler/policy.hpp"

#include <memory>
#include <string_view>

namespace berth::sched {

/// One of bestfit, dotprod, pack, cluster, random, spread; null for another name.
[[nodiscard]] std::unique_ptr<policy> make_simple_policy(std::string_view name,
                                                         const policy_options& options);

}  // namespace berth::sched
