#pragma once
// Prices: what placing work takes away from work that can only go to few places.
//
// Gang slots: a node can host a demand of several devices only while it has them idle together with the processor and
// memory. Taking k of the cluster's slots for a shape h costs k * milli(h) * min(1, D_h / slots_h)^3, D_h being the
// arrivals of h, or of shapes of as many devices that need at least as much otherwise, still to be expected before the cluster is full:
// nothing while slots abound, the whole gang when the last ones go. A node's slots for one shape and for a smaller one
// are the same devices, so the dearest counts, not the sum. Few gangs are seen early, so three more of each size (2, 4,
// 8; with the usual processor and memory per device) and of each kind's nearly whole node are presumed; without the
// latter, nodes larger than most are nibbled at before the first work that needs one arrives.
//
// Work without devices needs its processor and memory on one node, too: its larger shapes have slots and prices alike,
// on every node. Without them the nodes whose GPU is best used have no processor left for the last of it.
//
// Models: on model m, milli * max over restricted groups A (m in A, the work not itself restricted to A) of
// min(1, demand(A) / idle(A)).
//
// Any number of different gangs and groups may come; the rarer half is forgotten when there are too many.

#include "scheduler/inventory.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace berth::sched {

class prices {
 public:
  /// Counts one arrival.
  void arrived(const need& each, std::uint64_t models);

  /// What a weighing moved so far that scores should follow.
  struct verdict {
    bool models = false;         ///< a model's price: every node may score differently
    std::vector<node_id> nodes;  ///< nodes that have slots of a shape whose price moved
  };

  /// Weighs demand against what is left. Cost: O(nodes x shapes of several devices or of none that were seen).
  [[nodiscard]] verdict weigh(const inventory& nodes);

  /// A node's state, as far as those shapes can use it.
  struct standing {
    std::int32_t cpu_milli = 0;
    std::int32_t memory_mib = 0;
    std::int32_t idle = 0;
    std::uint64_t models = 0;
  };

  [[nodiscard]] std::size_t bytes() const noexcept {
    return (gangs_.capacity() + priced_.capacity() + presumed_.capacity() + hosts_only_.capacity()
            + priced_hosts_.capacity())
               * sizeof(shape)
           + groups_.capacity() * sizeof(group);
  }

  /// Milli lost in slots when a node goes from one state to another.
  [[nodiscard]] std::int64_t slots_lost(const standing& before, const standing& after) const;
  /// Price in milli per 1000 milli taken on a device model by work that admits `models`.
  [[nodiscard]] std::int32_t model_price(std::uint8_t model, std::uint64_t models) const;

 private:
  /// Gang shapes and groups of models remembered at most, each; the published workloads have 7 to 18.
  static constexpr std::size_t shapes_max = 256;

  /// A shape of several devices, or of none.
  struct shape {
    need each;
    std::uint64_t models = 0;
    std::uint64_t count = 0;
    std::int64_t slots = 0;
    std::int64_t price = 0;  ///< milli per slot
  };

  struct group {
    std::uint64_t models = 0;
    std::uint64_t milli = 0;  ///< arrived so far
    std::int32_t price = 0;   ///< per mille
  };

  /// Counts one arrival of a shape.
  static void count_shape(std::vector<shape>& shapes, const need& each, std::uint64_t models);
  /// Sets the prices of `all`, `worth` each when slots run out, and keeps in `known` what costs something; answers those
  /// whose price moved.
  template <class Worth>
  static std::vector<shape> reprice(std::vector<shape>& known,
                                    std::vector<shape> all,
                                    double ahead,
                                    Worth&& worth);
  /// Sets the prices of restricted groups of models; true when one moved.
  bool reprice_groups(const std::array<std::int64_t, 64>& idle_by_model, double ahead);
  [[nodiscard]] static std::int64_t slots_of(const shape& of, const standing& node);
  /// Adds to each shape's count the arrivals `seen` of shapes that take its slots.
  static void count_heavier(std::vector<shape>& all, const std::vector<shape>& seen);
  void presume(const inventory& nodes);

  std::vector<shape> gangs_;
  std::vector<shape> priced_;  ///< seen and presumed gangs that cost something now
  std::vector<group> groups_;
  std::vector<shape> presumed_;
  std::vector<shape> hosts_only_;    ///< shapes seen that want no device
  std::vector<shape> priced_hosts_;  ///< those that cost something now
  std::uint64_t gpu_milli_ = 0;
  std::uint64_t gpu_cpu_milli_ = 0;  ///< processor asked for by GPU work
  std::uint64_t gpu_memory_mib_ = 0;
};

}  // namespace berth::sched
