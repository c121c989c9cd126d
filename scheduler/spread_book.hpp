#pragma once
// Counts the replicas per failure domain, so that no domain gets more than a spread wish allows.

#include "scheduler/inventory.hpp"

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <unordered_map>

namespace berth::sched {

class spread_book {
 public:
  /// `companions` are replicas already running; they count.
  spread_book(const inventory& nodes,
              const std::optional<spread_wish>& wish,
              std::span<const slot> companions)
      : wish_(wish) {
    if (!wish_) return;
    for (const auto& each : companions)
      add(nodes, each.node, 1);
  }

  [[nodiscard]] bool active() const noexcept { return wish_.has_value(); }

  /// How many more the node's domain takes.
  [[nodiscard]] std::uint32_t left(const inventory& nodes, node_id node) const {
    if (!wish_) return std::numeric_limits<std::uint32_t>::max();
    const auto known = used_.find(nodes.domain(node, wish_->domain));
    const auto used = known == used_.end() ? 0 : known->second;
    return wish_->per_domain_max - std::min(used, wish_->per_domain_max);
  }

  void add(const inventory& nodes, node_id node, std::uint32_t count) {
    if (wish_) used_[nodes.domain(node, wish_->domain)] += count;
  }

  /// Gives the wish up.
  void drop() { wish_.reset(); }

 private:
  std::optional<spread_wish> wish_;
  std::unordered_map<std::uint32_t, std::uint32_t> used_;
};

}  // namespace berth::sched
