#pragma once
// Gangs: all ranks at once, as near to each other as this cluster can have them now.
//
// The levels are tried from near to far: within one node by the nearness of the farthest pair of devices (a shared
// island by bandwidth, a PCIe switch, a NUMA domain, the node), then one rack, one zone, the cluster. A gang is not
// spread over two islands while one island holds it. Among equally near places the policy chooses the node, or, over
// several nodes, the domain that needs the fewest of them. Every node is looked at once per call.

#include "scheduler/cap_book.hpp"
#include "scheduler/feasible.hpp"
#include "scheduler/nearness.hpp"
#include "scheduler/placement.hpp"

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

namespace berth::sched {

/// Whether to look at what is left of the nodes, or at the nodes as if they were empty, healthy and taken back.
enum class occupancy : std::uint8_t { now, emptied };

class gang_search {
 public:
  gang_search(const inventory& nodes,
              policy& by,
              const demand& wanted,
              const plan_options& options,
              occupancy at);

  /// As many ranks as fit, `ranks_min` to `ranks_max`, at the nearest level for that many. Nothing when fewer than
  /// `ranks_min` fit within the required affinity and spread.
  [[nodiscard]] std::optional<placement> find(std::uint32_t ranks_min, std::uint32_t ranks_max);
  /// Between one and `more` further ranks, nearest to those held first.
  [[nodiscard]] std::optional<placement> grow(const placement& held, std::uint32_t more);

 private:
  struct taken {
    node_id node = 0;
    std::uint32_t ranks = 0;
  };
  enum class domain_level : std::uint8_t { rack, zone, cluster };

  [[nodiscard]] std::uint32_t room_of(node_id node) const;
  [[nodiscard]] std::uint64_t usable(node_id node) const;
  [[nodiscard]] std::uint32_t domain_of(node_id node, domain_level level) const;
  [[nodiscard]] std::uint32_t largest_within(proximity floor, std::uint32_t ranks_max);
  [[nodiscard]] std::optional<placement> at_nearest(std::uint32_t ranks, proximity floor);
  [[nodiscard]] std::optional<placement> inside_one_node(std::uint32_t ranks, proximity floor);
  [[nodiscard]] std::optional<placement> inside_one_domain(std::uint32_t ranks, domain_level level);
  [[nodiscard]] std::optional<node_id> choose_node(std::uint32_t ranks,
                                                   const std::vector<node_id>& candidates);
  [[nodiscard]] near_set inside(node_id node, std::uint32_t ranks);
  [[nodiscard]] std::vector<taken> fill(std::vector<node_id> members, std::uint32_t ranks) const;
  [[nodiscard]] std::vector<std::uint32_t> sums(domain_level level) const;
  [[nodiscard]] std::optional<std::uint32_t> tightest_domain(
      std::uint32_t ranks, domain_level level, const std::vector<std::uint32_t>& sum) const;
  void add_ranks(placement& to, node_id node, std::uint32_t ranks);
  void add_shares(placement& to, node_id node, std::uint64_t devices, std::uint32_t ranks) const;
  [[nodiscard]] std::uint32_t shares_on(node_id node, std::uint64_t devices) const;
  [[nodiscard]] std::optional<placement> finished(const std::vector<taken>& parts);

  const inventory& nodes_;
  policy& by_;
  const demand& wanted_;
  plan_options options_;
  occupancy at_;
  asked of_;
  cap_book caps_;
  std::vector<std::uint32_t> room_;  ///< ranks that fit, per node
  std::vector<node_id> hosts_;       ///< nodes with room for some rank, ascending
  std::uint32_t most_ = 0;           ///< the largest room
  std::uint64_t total_ = 0;
  /// Nearest sets of kinds whose pairs differ, by (kind, usable devices, count).
  std::unordered_map<std::uint64_t, near_set> known_;
};

}  // namespace berth::sched
