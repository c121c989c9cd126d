#pragma once
// Futures: the answer of a call that was sent but not waited for.

#include <atomic>
#include <berth/error.hpp>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace berth {

template <class T>
class future;

namespace detail {

/// One outcome that somebody may wait for; reference-counted, starts with one reference.
///
/// What became of it and who refers to it stand in one word: ending a call and letting go of it is one step.
class BERTH_API pending {
 public:
  pending() = default;
  pending(const pending&) = delete;
  pending& operator=(const pending&) = delete;

  void add_ref() noexcept { state_.fetch_add(ref_one, std::memory_order_relaxed); }

  /// The last reference needs no locked instruction: nobody else can make another.
  void release() noexcept {
    if (state_.load(std::memory_order_acquire) / ref_one == 1
        || state_.fetch_sub(ref_one, std::memory_order_acq_rel) / ref_one == 1)
      destroy();
  }

  [[nodiscard]] bool done() const noexcept {
    return (state_.load(std::memory_order_acquire) & done_bit) != 0;
  }

  /// Returns once done; a remote call's waiter reads its link meanwhile.
  void wait() {
    if (!done()) (void)wait_until(std::chrono::steady_clock::time_point::max());
  }

  /// False when `end` came first. On a callback thread another one takes over its queue meanwhile.
  bool wait_until(std::chrono::steady_clock::time_point end);

  /// Asks the maker to stop; the outcome is then usually `cancelled`.
  virtual void cancel() noexcept = 0;

  /// Runs `run(argument)` on a callback thread once done. At most one continuation; it must keep a reference.
  void on_done(void (*run)(void*), void* argument);

 protected:
  virtual ~pending() = default;

  /// Ends an object nobody refers to.
  virtual void destroy() noexcept { delete this; }

  /// Waits until done or `end`; the base class sleeps, a remote call drives its link.
  virtual bool wait_here(std::chrono::steady_clock::time_point end);

  /// A further reference while the maker's is the only one.
  void add_first_ref() noexcept {
    state_.store(state_.load(std::memory_order_relaxed) + ref_one, std::memory_order_relaxed);
  }

  /// Marks it done, wakes who waits, queues the continuation. Once. The caller holds a reference.
  void complete();

  /// `complete`, and lets go of the caller's reference; true when that was the last one: `destroy` it.
  [[nodiscard]] bool complete_and_let_go();

  bool sleep_until(std::chrono::steady_clock::time_point end);

  /// Makes a pooled object new again.
  void reset() noexcept;

 private:
  static constexpr std::uint32_t done_bit = 1;
  static constexpr std::uint32_t continuation_bit = 2;
  static constexpr std::uint32_t sleeper_bit = 4;
  static constexpr std::uint32_t ref_one = 8;

  std::atomic<std::uint32_t> state_{ref_one};
  void (*run_)(void*) = nullptr;
  void* argument_ = nullptr;
};

/// A pending outcome that hands out a `result<T>`, once, when done.
template <class T>
class pending_result : public pending {
 public:
  virtual result<T> take() = 0;
};

template <class Pending>
struct unref {
  void operator()(Pending* p) const noexcept { p->release(); }
};

template <class Pending>
using pending_ref = std::unique_ptr<Pending, unref<Pending>>;

template <class T>
struct future_value {
  using type = T;
};

template <class T>
struct future_value<result<T>> {
  using type = T;
};

/// Runs `body` and turns what it throws into an error; a `result` it returns is passed on as it is.
template <class T, class Body>
result<T> caught(Body&& body) {
  try {
    if constexpr (std::is_void_v<decltype(body())>) {
      body();
      return result<T>();
    } else {
      return body();
    }
  } catch (const error& e) {
    return e.info();
  } catch (const std::exception& e) {
    return fail(kind::failed, "exception", e.what());
  } catch (...) {
    return fail(kind::failed, "exception",
                "a continuation threw something that is no std::exception");
  }
}

}  // namespace detail

/// A resource: move-only, consumed once by `get`, `then` or `co_await`. Dropping it lets the call run on.
template <class T>
class [[nodiscard]] future {
 public:
  using value_type = T;

  future() = default;

  /// `take` reads the outcome out of `state` once it is done.
  future(detail::pending_ref<detail::pending> state, result<T> (*take)(detail::pending*)) noexcept
      : state_(std::move(state)), take_(take) {}

  explicit future(detail::pending_ref<detail::pending_result<T>> state) noexcept
      : future(detail::pending_ref<detail::pending>(state.release()), [](detail::pending* done) {
          return static_cast<detail::pending_result<T>*>(done)->take();
        }) {}

  /// True until it was consumed.
  [[nodiscard]] bool valid() const noexcept { return state_ != nullptr; }

  /// True when `get` would not wait.
  [[nodiscard]] bool ready() const noexcept { return state_ && state_->done(); }

  /// Waits for the value. Throws `berth::error`. Consumes the future.
  T get() { return try_get().value(); }

  /// As `get`, with the error as a value.
  result<T> try_get() {
    auto state = take_state();
    if (!state) return consumed();
    state->wait();
    return take_(state.get());
  }

  /// True when the outcome is there within `span`.
  template <class Rep, class Period>
  [[nodiscard]] bool wait_for(std::chrono::duration<Rep, Period> span) const {
    if (!state_) return false;
    return state_->wait_until(std::chrono::steady_clock::now()
                              + std::chrono::duration_cast<std::chrono::nanoseconds>(span));
  }

  /// Asks the callee to stop and ends the wait: `get` then throws `cancelled`, unless the answer was already there.
  void cancel() {
    if (state_) state_->cancel();
  }

  /// Calls `next` on a callback thread (where blocking is allowed) with the value, or with a `result<T>` when it takes
  /// one; errors pass by a `next` that takes only values. Consumes the future; returns that of `next`'s value.
  template <class Next>
  auto then(Next next);

  /// Resumes the coroutine on a callback thread; throws `berth::error` there.
  auto operator co_await() && {
    struct awaiter {
      detail::pending_ref<detail::pending> state;
      result<T> (*take)(detail::pending*);

      [[nodiscard]] bool await_ready() const noexcept { return !state || state->done(); }

      void await_suspend(std::coroutine_handle<> waiter) {
        state->on_done([](void* frame) { std::coroutine_handle<>::from_address(frame).resume(); },
                       waiter.address());
      }

      T await_resume() {
        if (!state) return result<T>(consumed()).value();
        return take(state.get()).value();
      }
    };

    return awaiter{take_state(), take_};
  }

 private:
  static error_info consumed() {
    return fail(
        kind::invalid, "future_consumed",
        "this future was already consumed by get, then or co_await; each answer is had once");
  }

  detail::pending_ref<detail::pending> take_state() noexcept { return std::move(state_); }

  detail::pending_ref<detail::pending> state_;
  result<T> (*take_)(detail::pending*) = nullptr;
};

namespace detail {

/// The outcome of a continuation.
template <class T, class From, class Next>
class continued final : public pending_result<T> {
 public:
  continued(pending_ref<pending> from, result<From> (*read)(pending*), Next next)
      : from_(std::move(from)), read_(read), next_(std::move(next)) {}

  /// Registers with what it continues; holds itself until that is done.
  void start() {
    this->add_ref();
    from_->on_done([](void* self) { static_cast<continued*>(self)->run(); }, this);
  }

  result<T> take() override { return *std::move(outcome_); }

  void cancel() noexcept override { from_->cancel(); }

 private:
  void run() {
    outcome_.emplace(step(read_(from_.get())));
    this->complete();
    this->release();
  }

  result<T> step(result<From> got) {
    if constexpr (std::is_invocable_v<Next&, result<From>>) {
      return caught<T>([&] { return next_(std::move(got)); });
    } else {
      if (!got) return std::move(got).error();
      if constexpr (std::is_void_v<From>)
        return caught<T>([&] { return next_(); });
      else
        return caught<T>([&] { return next_(*std::move(got)); });
    }
  }

  pending_ref<pending> from_;
  result<From> (*read_)(pending*);
  Next next_;
  std::optional<result<T>> outcome_;
};

template <class T, class Next>
auto continuation_value() {
  if constexpr (std::is_invocable_v<Next&, result<T>>)
    return std::type_identity<std::invoke_result_t<Next&, result<T>>>{};
  else if constexpr (std::is_void_v<T>)
    return std::type_identity<std::invoke_result_t<Next&>>{};
  else
    return std::type_identity<std::invoke_result_t<Next&, T>>{};
}

}  // namespace detail

template <class T>
template <class Next>
auto future<T>::then(Next next) {
  using returned = typename decltype(detail::continuation_value<T, Next>())::type;
  using value = typename detail::future_value<returned>::type;
  auto state = take_state();
  if (!state) throw error(consumed());
  auto* after = new detail::continued<value, T, Next>(std::move(state), take_, std::move(next));
  detail::pending_ref<detail::pending_result<value>> owner(after);
  after->start();
  return future<value>(std::move(owner));
}

}  // namespace berth
