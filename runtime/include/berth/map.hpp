#pragma once
// map: one call an item, a window of them under way.

#include <berth/call.hpp>
#include <berth/error.hpp>
#include <berth/pull_iterator.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace berth {

/// What became of one item. A value.
template <class R>
struct mapped_item {
  std::size_t index = 0;  ///< of the item in what was given to `map`
  result<R> outcome;
  std::uint32_t version = 0;  ///< that answered; 0 for none

  /// The result; throws `berth::error`.
  R value() && { return std::move(outcome).value(); }

  decltype(auto) value() const& { return outcome.value(); }
};

namespace detail {

template <class T>
struct is_tuple_like : std::false_type {};

template <class... Ts>
struct is_tuple_like<std::tuple<Ts...>> : std::true_type {};

/// Hands out the range it was given: by reference when that was an lvalue, else its own copy.
template <class Items>
class held_items {
 public:
  explicit held_items(Items&& items)
      : items_(std::forward<Items>(items)), at_(items_.begin()), end_(items_.end()) {}

  held_items(const held_items&) = delete;
  held_items& operator=(const held_items&) = delete;

  [[nodiscard]] bool ended() { return at_ == end_; }

  decltype(auto) current() { return *at_; }

  void advance() { ++at_; }

 private:
  Items items_;
  decltype(std::declval<std::remove_reference_t<Items>&>().begin()) at_;
  decltype(std::declval<std::remove_reference_t<Items>&>().end()) end_;
};

template <class R>
result<R> outcome_of(pending* done);

}  // namespace detail

/// A range, read once, by one thread. Dropping it cancels what is under way.
template <class R, class Function, class Items>
class mapped {
 public:
  using iterator = detail::pull_iterator<mapped, mapped_item<R>>;

  mapped(const Function& calls, Items&& items, std::uint32_t in_flight, bool ordered)
      : calls_(calls),
        items_(std::forward<Items>(items)),
        window_(in_flight == 0 ? 1 : in_flight),
        ordered_(ordered) {}

  mapped(const mapped&) = delete;
  mapped& operator=(const mapped&) = delete;

  ~mapped() {
    for (auto& [index, call] : under_way_)
      call->cancel();
  }

  iterator begin() { return iterator(this); }

  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  friend iterator;

  mapped_item<R>& pulled() noexcept { return *current_; }

  bool pull() {
    while (under_way_.size() < window_ && !items_.ended())
      send_next();
    current_.reset();
    if (under_way_.empty()) return false;
    const auto index = ordered_ ? under_way_.begin()->first : done_.wait();
    auto call = std::move(under_way_.extract(index).mapped());
    call->wait();
    const auto version = call->failed() ? 0 : call->version();
    current_.emplace(mapped_item<R>{index, detail::outcome_of<R>(call.get()), version});
    return true;
  }

  void send_next() {
    const auto index = sent_++;
    decltype(auto) item = items_.current();
    auto call = [&] {
      if constexpr (detail::is_tuple_like<std::remove_cvref_t<decltype(item)>>::value)
        return std::apply([&](const auto&... xs) { return calls_.start_patiently(xs...); }, item);
      else
        return calls_.start_patiently(item);
    }();
    if (!ordered_) done_.watch(*call, index);
    under_way_.emplace(index, std::move(call));
    items_.advance();
  }

  Function calls_;
  detail::held_items<Items> items_;
  std::size_t window_;
  bool ordered_;
  std::uint64_t sent_ = 0;
  std::map<std::uint64_t, detail::pending_ref<detail::async_call>> under_way_;
  detail::done_list done_;
  std::optional<mapped_item<R>> current_;
};

}  // namespace berth
