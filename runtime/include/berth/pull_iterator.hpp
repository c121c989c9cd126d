#pragma once
// Pull iterator: the range-for face of something that makes one item after another.

#include <cstddef>
#include <iterator>

namespace berth::detail {

/// Reads `Source`, which has `bool pull()` (makes the next item; false once it has ended) and `Item& pulled()` (the item
/// made last). One reader; it lives no longer than the source.
template <class Source, class Item>
class pull_iterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = Item;
  using difference_type = std::ptrdiff_t;
  using pointer = Item*;
  using reference = Item&;

  pull_iterator() = default;

  explicit pull_iterator(Source* from) : from_(from) { ++*this; }

  Item& operator*() const { return from_->pulled(); }

  Item* operator->() const { return &from_->pulled(); }

  pull_iterator& operator++() {
    if (!from_->pull()) from_ = nullptr;
    return *this;
  }

  void operator++(int) { ++*this; }

  friend bool operator==(const pull_iterator& left, std::default_sentinel_t) noexcept {
    return left.from_ == nullptr;
  }

 private:
  Source* from_ = nullptr;
};

}  // namespace berth::detail
