#pragma once
// Placement: which devices of which nodes a demand gets.
//
// Planning is filter, then score, then place. It changes nothing that can be seen: the answer is committed by
// `inventory::reserve` and given back by `inventory::release`. A gang is placed whole or not at all, on the nearest
// devices there are; its slots come in rank order, and neighbouring ranks share the fastest link.

#include "scheduler/demand.hpp"

#include <berth/error.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace berth::sched {

class inventory;
class policy;

/// One replica's share: a node and the devices on it (bit i = device i; none for work without GPUs).
struct slot {
  node_id node = 0;
  std::uint64_t devices = 0;
  friend bool operator==(const slot&, const slot&) = default;
};

/// A planned answer. A value. `ranks` are in rank order, each taking `each` from its node.
struct placement {
  need each;
  std::vector<slot> ranks;
  /// The level at which all devices of the gang are near to each other, and the slowest direct link between any two
  /// of them (MB/s; 0 when some pair has none). `device` for a single device or none.
  proximity within = proximity::device;
  std::uint32_t mb_per_s_min = 0;
  friend bool operator==(const placement&, const placement&) = default;
};

/// Names what `inventory::reserve` took. Stays valid until released or grown; then its epoch is old and it is refused.
struct claim {
  std::uint32_t index = 0;
  std::uint32_t epoch = 0;
  friend bool operator==(const claim&, const claim&) = default;
};

/// A mask over nodes: 0xFF where a node may be used, 0 where it is barred (reserved for somebody, in a maintenance
/// window). One byte a node, and `score_mask_padding` more of any value, since masks are read in vectors.
using node_mask = std::vector<std::uint8_t>;
inline constexpr std::size_t score_mask_padding = 32;

/// How much of one device model may be taken at most.
struct model_cap {
  std::uint8_t model = 0;  ///< index into `inventory::models()`
  std::int64_t milli = 0;
  friend bool operator==(const model_cap&, const model_cap&) = default;
};

/// Circumstances of one planning call.
struct plan_options {
  const node_mask* allowed = nullptr;  ///< all nodes when null; must outlive the call
  std::span<const slot> companions =
      {};  ///< replicas of the same service already running; they count for `spread`
  /// What quotas leave of device models; a model that is not named has no cap. Kept on nodes whose devices are of one
  /// model; on a mixed node it is looked at afterwards which devices were taken.
  std::span<const model_cap> caps = {};
};

/// Why a node cannot take one replica of a demand, in the order the filters are applied.
enum class obstacle : std::uint8_t {
  none = 0,       ///< it can
  condition,      ///< drained, sick or gone
  barred,         ///< by `plan_options::allowed`
  labels,         ///< a required label
  model,          ///< no device of an admitted model
  devices,        ///< fewer devices than asked for, even when idle
  spread,         ///< its failure domain is full
  cpu,            ///< processor share taken
  memory,         ///< memory taken
  device_memory,  ///< enough milli left, but not enough device memory
  gpu,            ///< devices taken
  capacity,       ///< the node is too small in processor or memory even when idle
};
inline constexpr std::size_t obstacle_count = 12;

/// Plans `wanted` on the nodes as they are now. A gang is planned with at least its minimum of ranks or not at all. Of
/// several replicas as many are planned as fit, at least one: ask again for the rest with these as `companions`. Asking teaches the policy nothing (see `policy::arrived`).
///
/// Errors: `overloaded`/"no_room" when it fits a cluster of these nodes emptied, but not this one (retry later);
/// `invalid`/"never_fits" when no state of this cluster, drained nodes included, could hold it;
/// `invalid`/"bad_demand" for quantities out of range.
/// The inventory is changed and restored while replicas are planned one by one, so it must not be in use elsewhere.
/// Cost: one arg-max over the nodes per replica (policy.hpp); a gang looks at every node once.
[[nodiscard]] result<placement> plan(inventory& nodes,
                                     policy& by,
                                     const demand& wanted,
                                     const plan_options& options = {});

/// Plans up to `more` further ranks for a gang that already holds `held`, as near to them as it can be; at least one.
/// Errors as `plan`.
[[nodiscard]] result<placement> plan_growth(inventory& nodes,
                                            policy& by,
                                            const demand& wanted,
                                            const placement& held,
                                            std::uint32_t more,
                                            const plan_options& options = {});

/// The first obstacle between one replica of `wanted` and a node as it is now. Cost: O(devices of the node).
[[nodiscard]] obstacle why_not(const inventory& nodes,
                               const demand& wanted,
                               node_id node,
                               const plan_options& options = {});

/// How many nodes each obstacle removes, and the node that comes nearest to fitting.
struct fit_report {
  std::uint32_t nodes_by[obstacle_count] =
      {};  ///< index: obstacle; [none] counts the nodes that fit now
  /// Where least is missing: of the nodes that could hold it were they empty, else of those with the labels asked for.
  std::optional<node_id> nearest;
  need missing;  ///< what is missing on it (milli-GPU in `gpus` x `gpu_milli` terms)
  bool missing_when_empty = false;  ///< `missing` is what the node lacks even when empty
};

[[nodiscard]] fit_report explain_fit(const inventory& nodes,
                                     const demand& wanted,
                                     const plan_options& options = {});

/// Whether the demand would fit these nodes if all were empty, healthy and taken back from drain.
[[nodiscard]] bool fits_idle(const inventory& nodes, policy& by, const demand& wanted);

/// Fills `within` and `mb_per_s_min` of a placement from the nodes its ranks name. Cost: O(devices squared) per node.
void measure(const inventory& nodes, placement& placed);

/// Checks quantities: shares of more than one device, milli above 1000, gang bounds, negative values.
[[nodiscard]] result<void> check(const demand& wanted);

}  // namespace berth::sched
