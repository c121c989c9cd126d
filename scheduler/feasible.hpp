#pragma once
// Filter: can this node take one replica as it is now?
//
// `asked` is a demand compiled for one inventory: the quantities, the admitted models as a bit set, and the labels that
// are required. Wishes that may be given up are not in it.

#include "scheduler/inventory.hpp"

#include <cstdint>
#include <vector>

namespace berth::sched {

struct asked {
  need each;
  std::uint64_t models = ~std::uint64_t{0};
  std::vector<label_wish> labels;
  friend bool operator==(const asked&, const asked&) = default;
};

struct asked_hash {
  [[nodiscard]] std::size_t operator()(const asked& of) const noexcept;
};

[[nodiscard]] asked compile(const inventory& nodes, const demand& wanted);

/// Whether a node's labels satisfy one wish.
[[nodiscard]] bool satisfies(const inventory& nodes, node_id node, const label_wish& wish);

/// The devices of a node that could each serve one device of `of`: model admitted, healthy, milli and device memory
/// left. Cost: O(devices).
[[nodiscard]] std::uint64_t usable_devices(const inventory& nodes, const asked& of, node_id node);

/// Everything except labels and condition: the filter of what changes with every reservation.
[[nodiscard]] bool has_room(const inventory& nodes, const asked& of, node_id node);

/// The whole filter.
[[nodiscard]] bool feasible(const inventory& nodes, const asked& of, node_id node);

/// The devices that best fit asks for: a share goes to the fullest device that holds it, whole devices are the lowest
/// idle ones; lowest index among equals. Requires `has_room`.
[[nodiscard]] std::uint64_t best_fit_devices(const inventory& nodes, const asked& of, node_id node);

}  // namespace berth::sched
