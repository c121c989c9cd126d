#include "scheduler/score_table.hpp"

namespace berth::sched {
namespace {

/// Links of a list's or a hash table's node and the bucket that points to it.
constexpr std::size_t links_bytes = 4 * sizeof(void*);

std::size_t heap_bytes(const std::string& text) {
  return text.capacity() > std::string().capacity() ? text.capacity() + 1 : 0;
}

}  // namespace

std::size_t score_table::cost(const asked& shape, std::size_t nodes) {
  std::size_t labels = 0;
  for (const auto& wish : shape.labels) {
    labels += sizeof(wish) + heap_bytes(wish.key);
    for (const auto& value : wish.values)
      labels += sizeof(value) + heap_bytes(value);
  }
  // The index has a copy of the shape.
  return padded(nodes) + sizeof(row) + sizeof(asked) + 2 * (labels + links_bytes);
}

score_table::row& score_table::row_for(const inventory& nodes, const asked& shape) {
  belong_to(nodes);
  if (const auto known = index_.find(shape); known != index_.end()) {
    rows_.splice(rows_.begin(), rows_, known->second);
    auto& row = rows_.front();
    if (row.scores.size() < nodes.size()) {
      bytes_ += padded(nodes.size()) - row.scores.size();
      row.scores.resize(padded(nodes.size()));
    }
    return row;
  }
  const auto more = cost(shape, nodes.size());
  while (!rows_.empty() && bytes_ + more > bytes_max_)
    forget_oldest();
  rows_.push_front({shape, std::vector<std::uint8_t>(padded(nodes.size())), 0, 0, 0, 0});
  index_.emplace(shape, rows_.begin());
  bytes_ += more;
  return rows_.front();
}

void score_table::forget_oldest() {
  bytes_ -= cost(rows_.back().shape, rows_.back().scores.size());
  index_.erase(rows_.back().shape);
  rows_.pop_back();
}

void score_table::belong_to(const inventory& nodes) {
  if (identity_ == nodes.identity()) return;
  identity_ = nodes.identity();
  rows_.clear();
  index_.clear();
  bytes_ = 0;
}

score_table score_table::copy_for(const inventory& nodes) const {
  score_table copy(bytes_max_);
  copy.identity_ = nodes.identity();
  copy.bytes_ = bytes_;
  copy.rows_ = rows_;
  for (auto row = copy.rows_.begin(); row != copy.rows_.end(); ++row)
    copy.index_.emplace(row->shape, row);
  return copy;
}

}  // namespace berth::sched
