#include "scheduler/scored_policy.hpp"

#include <algorithm>

namespace berth::sched {

std::uint8_t scored_policy::byte_of(const inventory& nodes, const asked& of, node_id node) {
  if (!feasible(nodes, of, node)) return 0;
  return static_cast<std::uint8_t>(std::clamp(score(nodes, of, node), 0, score_max) + 1);
}

std::optional<slot> scored_policy::choose(const inventory& nodes,
                                          const demand& wanted,
                                          const node_mask* allowed) {
  auto& row = table_.row_for(nodes, compile(nodes, wanted));
  before_use(nodes, row);
  table_.renew(nodes, row, [&](node_id node) { return byte_of(nodes, row.shape, node); });
  const auto best = first_largest(row.scores.data(), allowed == nullptr ? nullptr : allowed->data(),
                                  nodes.size());
  if (best.value == 0) return std::nullopt;
  const auto node = among_equals(nodes, row, allowed, best);
  return slot{node, devices(nodes, row.shape, node)};
}

}  // namespace berth::sched
