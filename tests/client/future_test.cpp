#include <berth/future.hpp>
#include <berth/task.hpp>
#include <chrono>
#include <future>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <thread>

namespace berth {
namespace {

using namespace std::chrono_literals;

/// An outcome that the test decides.
template <class T>
class promised final : public detail::pending_result<T> {
 public:
  void answer(result<T> outcome) {
    outcome_.emplace(std::move(outcome));
    this->complete();
  }

  result<T> take() override { return *std::move(outcome_); }

  void cancel() noexcept override {
    if (!this->done()) answer(fail(kind::cancelled, "cancelled", "by the caller"));
  }

 private:
  std::optional<result<T>> outcome_;
};

template <class T>
struct pair_of {
  pair_of() : maker(new promised<T>) {
    maker->add_ref();
    waits = future<T>(detail::pending_ref<detail::pending_result<T>>(maker));
  }

  ~pair_of() { maker->release(); }

  promised<T>* maker;
  future<T> waits;
};

TEST(future, hands_its_value_out_once) {
  pair_of<int> one;
  EXPECT_FALSE(one.waits.ready());
  one.maker->answer(7);
  EXPECT_TRUE(one.waits.ready());
  EXPECT_EQ(one.waits.get(), 7);
  EXPECT_FALSE(one.waits.valid());
  EXPECT_EQ(one.waits.try_get().error().code, "future_consumed");
}

TEST(future, waits_for_an_answer_from_another_thread) {
  pair_of<std::string> one;
  std::thread maker([&] { one.maker->answer(std::string("late")); });
  EXPECT_EQ(one.waits.get(), "late");
  maker.join();
}

TEST(future, wait_for_ends_at_its_bound) {
  pair_of<int> one;
  EXPECT_FALSE(one.waits.wait_for(1ms));
  one.maker->answer(1);
  EXPECT_TRUE(one.waits.wait_for(0ms));
}

TEST(future, throws_the_error_it_was_answered_with) {
  pair_of<int> one;
  one.maker->answer(fail(kind::overloaded, "no_credit", "full"));
  try {
    (void)one.waits.get();
    FAIL() << "an error must be thrown";
  } catch (const error& e) {
    EXPECT_EQ(e.kind(), kind::overloaded);
  }
}

TEST(future, then_chains_values_and_passes_errors_by) {
  pair_of<int> good;
  auto text =
      good.waits.then([](int n) { return n + 1; }).then([](int n) { return std::to_string(n); });
  good.maker->answer(41);
  EXPECT_EQ(text.get(), "42");

  pair_of<int> bad;
  bool ran = false;
  auto skipped = bad.waits.then([&](int) { ran = true; });
  bad.maker->answer(fail(kind::missing, "x", "y"));
  EXPECT_EQ(skipped.try_get().error().kind, kind::missing);
  EXPECT_FALSE(ran);
}

TEST(future, then_sees_the_error_when_it_takes_a_result) {
  pair_of<int> one;
  auto handled = one.waits.then([](result<int> r) { return r ? *r : -1; });
  one.maker->answer(fail(kind::failed, "x", "y"));
  EXPECT_EQ(handled.get(), -1);
}

TEST(future, what_a_continuation_throws_is_the_next_futures_error) {
  pair_of<int> one;
  auto next = one.waits.then([](int) -> int { throw std::runtime_error("inside"); });
  one.maker->answer(1);
  EXPECT_EQ(next.try_get().error().message, "inside");
}

TEST(future, continuations_run_on_another_thread_where_waiting_is_allowed) {
  // Each continuation waits for the next one's: with fewer callback threads than links of the chain it would hang.
  constexpr int depth = 16;
  std::vector<std::unique_ptr<pair_of<int>>> chain;
  for (int i = 0; i < depth; ++i)
    chain.push_back(std::make_unique<pair_of<int>>());
  std::vector<future<int>> after(depth);
  for (int i = 0; i < depth; ++i) {
    after[i] = chain[i]->waits.then([&, i](int n) {
      if (i + 1 == depth) return n;
      chain[i + 1]->maker->answer(n + 1);
      return after[i + 1].get();
    });
  }
  const auto here = std::this_thread::get_id();
  auto where = pair_of<int>();
  auto thread = where.waits.then([](int) { return std::this_thread::get_id(); });
  where.maker->answer(0);
  EXPECT_NE(thread.get(), here);
  chain[0]->maker->answer(1);
  ASSERT_TRUE(after[0].wait_for(10s));
  EXPECT_EQ(after[0].get(), depth);
}

TEST(future, cancel_reaches_the_maker_through_continuations) {
  pair_of<int> one;
  auto next = one.waits.then([](int n) { return n; });
  next.cancel();
  EXPECT_EQ(next.try_get().error().kind, kind::cancelled);
}

task<int> add(future<int> left, future<int> right) {
  const int sum = co_await std::move(left) + co_await std::move(right);
  co_return sum;
}

task<int> outer(future<int> left, future<int> right) {
  co_return 2 * co_await add(std::move(left), std::move(right));
}

TEST(task, awaits_futures_and_tasks) {
  pair_of<int> left;
  pair_of<int> right;
  right.maker->answer(2);
  std::thread later([&] { left.maker->answer(1); });
  EXPECT_EQ(run(outer(std::move(left.waits), std::move(right.waits))), 6);
  later.join();
}

task<void> throws_after(future<int> first) {
  (void)co_await std::move(first);
}

TEST(task, throws_what_it_awaited) {
  pair_of<int> one;
  one.maker->answer(fail(kind::denied, "x", "y"));
  EXPECT_THROW(run(throws_after(std::move(one.waits))), error);
}

}  // namespace
}  // namespace berth
