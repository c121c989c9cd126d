#pragma once
// Eviction search: whose going makes room at the least loss.
//
// Pure: it looks at a copy of the inventory and at who may be asked to go, and answers with the set whose lost work is
// least, or nothing. A single replica is looked at node by node, exactly up to a bound; a gang takes the least losses
// first and then lets everybody stay who need not go.

#include "scheduler/inventory.hpp"
#include "scheduler/placement.hpp"
#include "scheduler/work.hpp"

#include <functional>
#include <optional>
#include <vector>

namespace berth::sched {

class policy;

/// Somebody who may be asked to go: on healthy devices of nodes that are ready, so that who goes can come back. `loss`
/// is the device time that would be lost.
struct evictable {
  claim held;
  gpu_time loss = 0;
};

struct eviction_plan {
  std::vector<std::size_t> go;  ///< indices into the candidates, ascending
  placement where;              ///< of the demand once they are gone
  gpu_time loss = 0;
  friend bool operator==(const eviction_plan&, const eviction_plan&) = default;
};

/// Candidates of one node that are looked at subset by subset; above it the cheapest go first.
inline constexpr std::size_t eviction_exact_max = 12;

/// What else a set of candidates has to satisfy. `fair`: whether these may go together, given what each team would be
/// left with; each subset of a fair set is fair. `enough`: whether room in the quota is made, too; holds for every
/// larger set as well. Both must be cheap.
struct eviction_rules {
  std::function<bool(const std::vector<std::size_t>&)> fair;
  std::function<bool(const std::vector<std::size_t>&)> enough;
};

/// The set of least loss whose going lets `wanted` in; ties go to fewer, then to lower indices. `nodes` is a scratch
/// copy, unspecified afterwards. Nothing when no set helps.
[[nodiscard]] std::optional<eviction_plan> least_loss(inventory& nodes,
                                                      policy& by,
                                                      const demand& wanted,
                                                      const std::vector<evictable>& candidates,
                                                      const plan_options& options,
                                                      const eviction_rules& rules);

}  // namespace berth::sched
