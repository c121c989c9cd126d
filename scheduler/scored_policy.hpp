#pragma once
// The common half of the policies: a table of score bytes and one arg-max over it.
//
// A policy of this family only says how good a node is for a shape and which devices of the chosen node to take.

#include "scheduler/policy.hpp"
#include "scheduler/score_table.hpp"

namespace berth::sched {

/// The largest score; the byte kept is score + 1, since 0 says "cannot".
inline constexpr int score_max = 254;

class scored_policy : public policy {
 public:
  explicit scored_policy(const policy_options& options) : table_(options.memo_bytes_max) {}

  void arrived(const inventory& /*nodes*/, const demand& /*wanted*/) override {}

  [[nodiscard]] std::optional<slot> choose(const inventory& nodes,
                                           const demand& wanted,
                                           const node_mask* allowed) override;

  [[nodiscard]] std::size_t memo_bytes() const noexcept override { return table_.bytes(); }

 protected:
  scored_policy(const scored_policy& other, const inventory& copy)
      : table_(other.table_.copy_for(copy)) {}

  /// How good a node with room is, 0 to `score_max`; out of range is clamped.
  [[nodiscard]] virtual int score(const inventory& nodes, const asked& of, node_id node) = 0;

  /// The devices to take there.
  [[nodiscard]] virtual std::uint64_t devices(const inventory& nodes,
                                              const asked& of,
                                              node_id node) {
    return best_fit_devices(nodes, of, node);
  }

  /// Among nodes with equal bytes: the one to take; `first` is the lowest.
  [[nodiscard]] virtual node_id among_equals(const inventory& /*nodes*/,
                                             const score_table::row& /*of*/,
                                             const node_mask* /*allowed*/,
                                             best_score first) {
    return static_cast<node_id>(first.index);
  }

  /// Called before a row is used: whatever has to be scored again beyond what changed.
  virtual void before_use(const inventory& /*nodes*/, score_table::row& /*of*/) {}

  /// The byte of one node: filter and score.
  [[nodiscard]] std::uint8_t byte_of(const inventory& nodes, const asked& of, node_id node);

 private:
  score_table table_;
};

}  // namespace berth::sched
