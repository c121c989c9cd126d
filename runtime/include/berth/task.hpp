#pragma once
// Tasks: coroutines of the caller's side, for programs that have many calls under way at once.

#include <atomic>
#include <berth/error.hpp>
#include <coroutine>
#include <exception>
#include <optional>
#include <utility>
#include <variant>

namespace berth {

template <class T>
class task;

template <class T>
T run(task<T> work);

namespace detail {

class task_promise_base {
 public:
  [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }

  struct to_waiter {
    [[nodiscard]] bool await_ready() const noexcept { return false; }

    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
      return ended.promise().waiter_;
    }

    void await_resume() const noexcept {}
  };

  [[nodiscard]] to_waiter final_suspend() const noexcept { return {}; }

  void unhandled_exception() noexcept { thrown_ = std::current_exception(); }

  void resumes(std::coroutine_handle<> waiter) noexcept { waiter_ = waiter; }

 protected:
  void rethrow() const {
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  std::coroutine_handle<> waiter_ = std::noop_coroutine();
  std::exception_ptr thrown_;
};

template <class T>
class task_promise : public task_promise_base {
 public:
  task<T> get_return_object();

  template <class U>
  void return_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }

  T take() {
    rethrow();
    return *std::move(value_);
  }

 private:
  std::optional<T> value_;
};

template <>
class task_promise<void> : public task_promise_base {
 public:
  task<void> get_return_object();

  void return_void() const noexcept {}

  void take() const { rethrow(); }
};

}  // namespace detail

/// A lazy coroutine: starts when awaited or given to `run`, resumes where the awaited thing resumes it (a future's
/// callback thread). Move-only; awaited once; destroying it before its end destroys its frame.
template <class T = void>
class [[nodiscard]] task {
 public:
  using promise_type = detail::task_promise<T>;

  task(task&& other) noexcept : work_(std::exchange(other.work_, {})) {}

  task& operator=(task&& other) noexcept {
    if (this != &other) {
      if (work_) work_.destroy();
      work_ = std::exchange(other.work_, {});
    }
    return *this;
  }

  ~task() {
    if (work_) work_.destroy();
  }

  auto operator co_await() && noexcept {
    struct awaiter {
      std::coroutine_handle<promise_type> work;

      [[nodiscard]] bool await_ready() const noexcept { return false; }

      std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) const noexcept {
        work.promise().resumes(waiter);
        return work;
      }

      T await_resume() const { return work.promise().take(); }
    };

    return awaiter{work_};
  }

 private:
  friend promise_type;

  explicit task(std::coroutine_handle<promise_type> work) noexcept : work_(work) {}

  std::coroutine_handle<promise_type> work_;
};

namespace detail {

template <class T>
task<T> task_promise<T>::get_return_object() {
  return task<T>(std::coroutine_handle<task_promise>::from_promise(*this));
}

inline task<void> task_promise<void>::get_return_object() {
  return task<void>(std::coroutine_handle<task_promise>::from_promise(*this));
}

/// The coroutine `run` waits for: it says when it has ended.
class run_frame {
 public:
  class promise_type {
   public:
    run_frame get_return_object() {
      return run_frame(std::coroutine_handle<promise_type>::from_promise(*this));
    }

    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }

    struct announce {
      [[nodiscard]] bool await_ready() const noexcept { return false; }

      void await_suspend(std::coroutine_handle<promise_type> ended) const noexcept {
        auto* flag = ended.promise().ended_;
        flag->store(true, std::memory_order_release);
        flag->notify_one();
      }

      void await_resume() const noexcept {}
    };

    [[nodiscard]] announce final_suspend() const noexcept { return {}; }

    void return_void() const noexcept {}

    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }

    std::atomic<bool>* ended_ = nullptr;
  };

  explicit run_frame(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}

  /// Moves: clang 14 moves what a coroutine returns where others build it in place.
  run_frame(run_frame&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}

  run_frame(const run_frame&) = delete;
  run_frame& operator=(const run_frame&) = delete;

  ~run_frame() {
    if (frame_) frame_.destroy();
  }

  void start_and_wait(std::atomic<bool>& ended) {
    frame_.promise().ended_ = &ended;
    frame_.resume();
    ended.wait(false, std::memory_order_acquire);
  }

 private:
  std::coroutine_handle<promise_type> frame_;
};

template <class T>
run_frame keep_outcome(task<T> work, std::optional<T>& value, std::exception_ptr& thrown) {
  try {
    value.emplace(co_await std::move(work));
  } catch (...) {
    thrown = std::current_exception();
  }
}

inline run_frame keep_outcome(task<void> work, std::exception_ptr& thrown) {
  try {
    co_await std::move(work);
  } catch (...) {
    thrown = std::current_exception();
  }
}

}  // namespace detail

/// Runs a task to its end and hands back its value; the calling thread sleeps meanwhile. Throws what the task threw.
template <class T>
T run(task<T> work) {
  std::atomic<bool> ended{false};
  std::exception_ptr thrown;
  if constexpr (std::is_void_v<T>) {
    auto frame = detail::keep_outcome(std::move(work), thrown);
    frame.start_and_wait(ended);
    if (thrown) std::rethrow_exception(thrown);
  } else {
    std::optional<T> value;
    auto frame = detail::keep_outcome(std::move(work), value, thrown);
    frame.start_and_wait(ended);
    if (thrown) std::rethrow_exception(thrown);
    return *std::move(value);
  }
}

}  // namespace berth
