#include "scheduler/score_table.hpp"

#include <algorithm>

namespace berth::sched {

score_table::row& score_table::row_for(const inventory& nodes, const asked& shape) {
  belong_to(nodes);
  ++clock_;
  if (const auto known = index_.find(shape); known != index_.end()) {
    auto& row = rows_[known->second];
    row.asked_at = clock_;
    if (row.scores.size() < nodes.size()) row.scores.resize(padded(nodes.size()));
    return row;
  }
  if (!rows_.empty() && (rows_.size() + 1) * padded(nodes.size()) > bytes_max_) evict_one();
  index_.emplace(shape, rows_.size());
  rows_.push_back({shape, std::vector<std::uint8_t>(padded(nodes.size())), 0, 0, 0, 0, clock_});
  return rows_.back();
}

void score_table::evict_one() {
  const auto oldest =
      std::min_element(rows_.begin(), rows_.end(),
                       [](const row& one, const row& two) { return one.asked_at < two.asked_at; });
  index_.erase(oldest->shape);
  if (oldest != std::prev(rows_.end())) {
    *oldest = std::move(rows_.back());
    index_[oldest->shape] = static_cast<std::size_t>(oldest - rows_.begin());
  }
  rows_.pop_back();
}

void score_table::belong_to(const inventory& nodes) {
  if (identity_ == nodes.identity()) return;
  identity_ = nodes.identity();
  rows_.clear();
  index_.clear();
}

score_table score_table::copy_for(const inventory& nodes) const {
  auto copy = *this;
  copy.identity_ = nodes.identity();
  return copy;
}

std::size_t score_table::bytes() const noexcept {
  std::size_t sum = 0;
  for (const auto& row : rows_)
    sum += row.scores.size();
  return sum;
}

}  // namespace berth::sched
