#pragma once
// What a policy remembers: one byte of score per (shape, node).
//
// 0 means the node cannot take the shape; a larger byte is a better node. A row is brought up to date when its shape is
// asked about, and only for the nodes that changed since: at full load a decision renews a few hundred bytes instead
// of scoring ten thousand nodes. The rows least recently asked about go when the bound is reached, so any number of
// different shapes may come.

#include "scheduler/argmax.hpp"
#include "scheduler/feasible.hpp"

#include <cstdint>
#include <list>
#include <unordered_map>
#include <vector>

namespace berth::sched {

class score_table {
 public:
  struct row {
    asked shape;
    std::vector<std::uint8_t> scores;  ///< one a node, padded with zeros to score_row_align
    std::uint64_t seen = 0;            ///< revision of the inventory the scores are of
    std::uint64_t generation = 0;      ///< of the policy's opinion the scores follow
    std::size_t swept = 0;             ///< nodes below this have been scored by that generation
    std::uint64_t priced = 0;          ///< of the policy's prices the scores follow
  };

  explicit score_table(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  score_table(const score_table&) = delete;
  score_table& operator=(const score_table&) = delete;
  score_table(score_table&&) noexcept = default;
  score_table& operator=(score_table&&) noexcept = default;
  ~score_table() = default;

  /// The row of a shape, made when new. Its scores may be stale; see `renew`. Valid until the next call.
  row& row_for(const inventory& nodes, const asked& shape);

  /// Scores again the nodes that changed since the row was last seen.
  template <class Score>
  void renew(const inventory& nodes, row& of, Score&& score) {
    nodes.changed_since(of.seen, [&](node_id node) { of.scores[node] = score(node); });
    of.seen = nodes.revision();
  }

  /// Forgets every row when `nodes` is not the inventory the rows are of.
  void belong_to(const inventory& nodes);
  /// A copy of the rows for a copy of the inventory.
  [[nodiscard]] score_table copy_for(const inventory& nodes) const;

  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  [[nodiscard]] static std::size_t padded(std::size_t count) {
    return (count + score_row_align - 1) / score_row_align * score_row_align;
  }

  /// What a row takes: its scores and labels, its place in the list, and its entry in the index.
  [[nodiscard]] static std::size_t cost(const asked& shape, std::size_t nodes);
  void forget_oldest();

  std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  std::uint64_t identity_ = 0;
  std::list<row> rows_;  ///< the one asked about last comes first
  std::unordered_map<asked, std::list<row>::iterator, asked_hash> index_;
};

}  // namespace berth::sched
