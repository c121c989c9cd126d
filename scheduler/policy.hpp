#pragma once
// Policy: among the nodes that can take a replica, which one takes it.
//
// The word for "good" differs: `pack` and `bestfit` look at what is left of a node, `fgd` at what its rest is worth to
// the usual work, `fill` at what would be left idle after the futures this cluster has reason to expect. All are asked
// the same way: the highest score wins, ties go to the lowest node id.
//
// A policy keeps a byte of score per (shape, node) and renews it only for nodes that changed since that shape was last
// asked about; a decision is then one arg-max over bytes. It belongs to one inventory; `clone_for` makes a copy of it,
// with all that it has learned and remembered, that belongs to a copy of that inventory.

#include "scheduler/demand.hpp"
#include "scheduler/placement.hpp"

#include <berth/error.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::sched {

/// A demand and how often it is to be expected. `fgd` can be told its target workload as a whole.
struct expected_demand {
  need each;
  std::vector<std::string> models;
  std::uint64_t count = 0;
};

struct policy_options {
  std::uint64_t seed = 0;               ///< of `random`'s choices and of `fill`'s futures
  std::vector<expected_demand> target;  ///< for `fgd`: the workload; empty: learned from arrivals
  std::size_t memo_bytes_max = 64u << 20;  ///< bound of remembered scores, all shapes together
};

class policy {
 public:
  policy() = default;
  policy(const policy&) = delete;
  policy& operator=(const policy&) = delete;
  virtual ~policy() = default;

  [[nodiscard]] virtual std::string_view name() const noexcept = 0;

  /// A demand has arrived (once per demand, before it is planned, whether or not it will fit). Policies that learn do
  /// so here; what they learn depends on the sequence of arrivals only.
  virtual void arrived(const inventory& nodes, const demand& wanted) = 0;

  /// The best slot for one replica, or nothing when no node is feasible: labels, models, condition, CPU, memory,
  /// devices and device memory are all checked. `allowed` may bar nodes.
  [[nodiscard]] virtual std::optional<slot> choose(const inventory& nodes,
                                                   const demand& wanted,
                                                   const node_mask* allowed) = 0;

  /// A copy that answers on `copy`, a copy of the inventory this one has been asked about, exactly as this one would.
  [[nodiscard]] virtual std::unique_ptr<policy> clone_for(const inventory& copy) const = 0;

  /// Bytes remembered now: scores, states, what has been learned. Bounded by `memo_bytes_max` and a few MB, however many
  /// different shapes come.
  [[nodiscard]] virtual std::size_t memo_bytes() const noexcept = 0;
};

/// The policies' names: fill (the default), fgd, bestfit, dotprod, pack, cluster, random, spread.
[[nodiscard]] const std::vector<std::string_view>& policy_names();
inline constexpr std::string_view default_policy = "fill";

/// Errors: `missing` for an unknown name, listing the known ones.
[[nodiscard]] result<std::unique_ptr<policy>> make_policy(std::string_view name,
                                                          const policy_options& options = {});

}  // namespace berth::sched
