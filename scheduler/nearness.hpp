#pragma once
// Nearness inside one node: which devices belong together, and in which order ranks walk over them.
//
// A pair's nearness is one number (level, then direct bandwidth); a set is as near as its farthest pair. The search for
// the nearest set tries the distinct values from near to far and looks for devices that are pairwise at least so near.
// That is a clique search, cheap because a node has few devices and its links form few groups.

#include "scheduler/inventory.hpp"

#include <cstdint>
#include <vector>

namespace berth::sched {

/// Nearness of a set of one device: nothing is nearer.
inline constexpr std::uint32_t nearness_of_one = static_cast<std::uint32_t>(proximity::device)
                                                 << 24;

[[nodiscard]] constexpr proximity level_of(std::uint32_t nearness) {
  return static_cast<proximity>(nearness >> 24);
}

[[nodiscard]] constexpr std::uint32_t mb_per_s_of(std::uint32_t nearness) {
  return nearness & 0xFFFFFFU;
}

/// The nearness of the farthest pair of a set of devices (`nearness_of_one` for one device or none).
[[nodiscard]] std::uint32_t nearness_of(const node_kind& kind, std::uint64_t devices);

struct near_set {
  std::uint64_t devices = 0;
  std::uint32_t nearness = 0;
};

/// The nearest `count` devices out of `usable`; among equally near sets one from the group with the fewest usable
/// devices, so that large groups stay whole, then the lowest devices. Requires `count` <= usable devices.
/// Cost: O(count) where all pairs of the node are alike; else a clique search per distinct nearness.
[[nodiscard]] near_set nearest_set(const node_kind& kind,
                                   std::uint64_t usable,
                                   std::uint32_t count);

/// The order in which ranks take the devices of a set: neighbours share the fastest links. Exact (the slowest step as
/// fast as can be, then the sum) up to ten devices, nearest-neighbour beyond.
[[nodiscard]] std::vector<std::uint8_t> rank_order(const node_kind& kind, std::uint64_t devices);

}  // namespace berth::sched
