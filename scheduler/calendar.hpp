#pragma once
// Calendar: which nodes are spoken for, and from when.
//
// A promise to a waiting job, a maintenance window, and the place that leaves for somebody are all the same to everybody
// else: a node is barred from an instant on, and only work that surely ends before it may start there.

#include "scheduler/placement.hpp"
#include "scheduler/work.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace berth::sched {

/// One node barred for a stretch of time. `owner` names whoever it is barred for.
struct bar {
  enum class reason : std::uint8_t { promise, handover, window };
  node_id node = 0;
  instant from{0};
  std::optional<instant> until;  ///< none: until it is taken away
  reason why = reason::window;
  std::uint64_t owner = 0;
  friend bool operator==(const bar&, const bar&) = default;
};

class calendar {
 public:
  void add(const bar& one) { bars_.push_back(one); }

  /// Takes away all bars of that reason and owner.
  void remove(bar::reason why, std::uint64_t owner);

  [[nodiscard]] const std::vector<bar>& bars() const noexcept { return bars_; }

  /// Whether work that runs from `now` to `end` (none: with no known end) may use the node.
  [[nodiscard]] bool admits(node_id node, instant now, std::optional<instant> end) const;

  /// The nodes such work may use, as a mask over `nodes` nodes; null when it may use all. `except` leaves out the bars
  /// of one promise (work that goes before its owner). The mask is the calendar's and holds until the next call.
  /// Cost: O(bars), and O(nodes) when their number changed.
  [[nodiscard]] const node_mask* mask(std::size_t nodes,
                                      instant now,
                                      std::optional<instant> end,
                                      std::optional<std::uint64_t> except = std::nullopt);

 private:
  std::vector<bar> bars_;
  node_mask mask_;
  std::vector<node_id> patched_;
};

}  // namespace berth::sched
