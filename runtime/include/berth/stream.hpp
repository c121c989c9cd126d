#pragma once
// Streams: a sequence whose items are made one by one and wait for their reader.
//
// A function that returns `stream<T>` is a coroutine: it runs only as far as somebody asks for the next item, so a slow
// reader holds it back and an abandoned stream ends it. The caller of such a function iterates over the same type, and
// a `stream<T>` parameter hands items the other way.
//
// Trap: g++ 12 destroys a temporary aggregate with non-trivial members twice when it is written inside the co_yield
// expression (`co_yield item{name, 1};`). Give it a name first: `item one{name, 1}; co_yield std::move(one);`.

#include <berth/error.hpp>
#include <berth/pull_iterator.hpp>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace berth {

/// Where items come from when they are not made by a coroutine in this process.
template <class T>
class stream_source {
 public:
  virtual ~stream_source() = default;

  /// The next item, or nothing at the end; waits for it. Throws `berth::error`.
  virtual std::optional<T> next() = 0;
};

/// A resource: moves, does not copy; one reader. Dropping it ends the maker (its coroutine is destroyed, a remote one
/// is cancelled). Threads: one at a time.
template <class T>
class stream {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>,
                "berth::stream carries values: name the plain type, not a reference or a const");

 public:
  using value_type = T;

  class promise_type {
   public:
    stream get_return_object() {
      return stream(std::coroutine_handle<promise_type>::from_promise(*this));
    }

    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }

    [[nodiscard]] std::suspend_always final_suspend() const noexcept { return {}; }

    std::suspend_always yield_value(T item) {
      item_.emplace(std::move(item));
      return {};
    }

    void return_void() const noexcept {}

    void unhandled_exception() noexcept { thrown_ = std::current_exception(); }

    /// A stream is pulled by its reader: there is nobody to resume it after another awaitable.
    template <class U>
    void await_transform(U&&) = delete;

   private:
    friend class stream;
    std::optional<T> item_;
    std::exception_ptr thrown_;
  };

  using iterator = detail::pull_iterator<stream, T>;

  /// A stream that has ended.
  stream() = default;

  /// A stream whose items another process or a container makes.
  explicit stream(std::unique_ptr<stream_source<T>> source) : source_(std::move(source)) {}

  stream(stream&& other) noexcept
      : made_here_(std::exchange(other.made_here_, {})),
        source_(std::move(other.source_)),
        current_(std::move(other.current_)) {}

  stream& operator=(stream&& other) noexcept {
    if (this != &other) {
      end_maker();
      made_here_ = std::exchange(other.made_here_, {});
      source_ = std::move(other.source_);
      current_ = std::move(other.current_);
    }
    return *this;
  }

  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;

  ~stream() { end_maker(); }

  /// The next item, or nothing once the stream has ended. Waits; throws what the maker threw, or `berth::error` when a
  /// remote maker is lost. After an error the stream has ended.
  std::optional<T> next() {
    if (source_) return next_of_source();
    if (!made_here_ || made_here_.done()) return std::nullopt;
    made_here_.resume();
    auto& promise = made_here_.promise();
    if (promise.thrown_) std::rethrow_exception(std::exchange(promise.thrown_, nullptr));
    if (made_here_.done()) return std::nullopt;
    return std::exchange(promise.item_, std::nullopt);
  }

  iterator begin() { return iterator(this); }

  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  friend iterator;

  T& pulled() noexcept { return *current_; }

  bool pull() {
    current_ = next();
    return current_.has_value();
  }

  explicit stream(std::coroutine_handle<promise_type> made_here) : made_here_(made_here) {}

  std::optional<T> next_of_source() {
    std::optional<T> item;
    try {
      item = source_->next();
    } catch (...) {
      source_.reset();
      throw;
    }
    if (!item) source_.reset();
    return item;
  }

  void end_maker() noexcept {
    if (made_here_) std::exchange(made_here_, {}).destroy();
    source_.reset();
  }

  std::coroutine_handle<promise_type> made_here_;
  std::unique_ptr<stream_source<T>> source_;
  std::optional<T> current_;
};

namespace detail {

template <class Items, class T = typename Items::value_type>
class items_source final : public stream_source<T> {
 public:
  explicit items_source(Items items) : items_(std::move(items)), at_(items_.begin()) {}

  std::optional<T> next() override {
    if (at_ == items_.end()) return std::nullopt;
    return std::optional<T>(std::move(*at_++));
  }

 private:
  Items items_;
  typename Items::iterator at_;
};

}  // namespace detail

/// A stream of a container's items, which it takes over.
template <class Items>
[[nodiscard]] stream<typename Items::value_type> stream_of(Items items) {
  using value = typename Items::value_type;
  return stream<value>(
      std::unique_ptr<stream_source<value>>(new detail::items_source<Items>(std::move(items))));
}

}  // namespace berth
