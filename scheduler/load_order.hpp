#pragma once
// Load order: the nodes of an inventory from the emptiest to the fullest, by the allocated part of their devices.
//
// Kept up to date from the inventory's journal, so the emptiest of very many nodes is found without looking at all.

#include "scheduler/inventory.hpp"

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

namespace berth::sched {

class load_order {
 public:
  /// Milli allocated on a node, and its whole capacity in milli (1 for a node without devices).
  struct load {
    std::int64_t allocated = 0;
    std::int64_t capacity = 1;
  };

  [[nodiscard]] static load of(const inventory& nodes, node_id node) {
    std::int64_t left = 0;
    for (const auto milli : nodes.milli(node))
      left += milli;
    const std::int64_t capacity = 1000 * std::int64_t{nodes.row(node).devices};
    return capacity == 0 ? load{} : load{capacity - left, capacity};
  }

  /// Brings the order up to date. Cost: O(log nodes) per changed node; all of them for another inventory.
  void follow(const inventory& nodes) {
    if (identity_ != nodes.identity()) *this = {};
    identity_ = nodes.identity();
    keys_.resize(nodes.size(), absent);
    nodes.changed_since(seen_, [&](node_id node) {
      const auto now = key(of(nodes, node));
      if (now == keys_[node]) return;
      if (keys_[node] != absent) order_.erase({keys_[node], node});
      keys_[node] = now;
      order_.emplace(now, node);
    });
    seen_ = nodes.revision();
  }

  /// From now on the order of `copy`, an exact copy of the inventory it has followed.
  void belong_to(const inventory& copy) { identity_ = copy.identity(); }

  /// The emptiest node, lowest id among equals, that is at least `part.allocated / part.capacity` full and for which
  /// `takes` answers true. Requires that there is one.
  template <class Takes>
  [[nodiscard]] node_id first_from(const load& part, Takes&& takes) const {
    auto at = order_.lower_bound({key(part), 0});
    while (!takes(at->second))
      ++at;
    return at->second;
  }

  [[nodiscard]] std::size_t bytes() const noexcept {
    return keys_.capacity() * sizeof(std::uint64_t) + order_.size() * node_bytes;
  }

 private:
  static constexpr std::uint64_t absent = ~std::uint64_t{0};
  /// A red-black tree's node: three links and a colour beside the pair.
  static constexpr std::size_t node_bytes =
      4 * sizeof(void*) + sizeof(std::pair<std::uint64_t, node_id>);

  /// Two fractions of at most 64 devices differ by 2^-32 or more, so equal keys are equal fractions.
  [[nodiscard]] static std::uint64_t key(const load& part) {
    return (static_cast<std::uint64_t>(part.allocated) << 40)
           / static_cast<std::uint64_t>(part.capacity);
  }

  std::uint64_t identity_ = 0;
  std::uint64_t seen_ = 0;
  std::vector<std::uint64_t> keys_;
  std::set<std::pair<std::uint64_t, node_id>> order_;
};

}  // namespace berth::sched
