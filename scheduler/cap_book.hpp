#pragma once
// Counts the replicas per device model, so that none gets more than a quota on the model leaves.

#include "scheduler/inventory.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace berth::sched {

class cap_book {
 public:
  /// `each` is one replica; without devices nothing is capped.
  cap_book(std::span<const model_cap> caps, const need& each) {
    if (each.gpus == 0) return;
    for (const auto& cap : caps)
      left_.push_back({cap.model, std::max<std::int64_t>(cap.milli, 0) / each.milli()});
  }

  [[nodiscard]] bool active() const noexcept { return !left_.empty(); }

  /// How many more the node may take. A node with devices of several models has no cap here.
  [[nodiscard]] std::uint32_t left(const inventory& nodes, node_id node) const {
    const auto at = place_of(nodes, node);
    if (at == left_.size()) return most;
    return static_cast<std::uint32_t>(std::min<std::int64_t>(left_[at].replicas, most));
  }

  void add(const inventory& nodes, node_id node, std::uint32_t count) {
    if (const auto at = place_of(nodes, node); at < left_.size()) left_[at].replicas -= count;
  }

 private:
  static constexpr std::uint32_t most = std::numeric_limits<std::uint32_t>::max();

  struct replicas_left {
    std::uint8_t model = 0;
    std::int64_t replicas = 0;
  };

  /// Where the cap of the node's model stands; past the end when it has none.
  [[nodiscard]] std::size_t place_of(const inventory& nodes, node_id node) const {
    if (left_.empty() || nodes.kind(node).mixed || nodes.kind(node).model.empty())
      return left_.size();
    const auto model = nodes.kind(node).model.front();
    const auto at = std::find_if(left_.begin(), left_.end(),
                                 [&](const replicas_left& one) { return one.model == model; });
    return static_cast<std::size_t>(at - left_.begin());
  }

  std::vector<replicas_left> left_;
};

}  // namespace berth::sched
