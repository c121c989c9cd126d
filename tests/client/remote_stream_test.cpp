#include "tests/support/served_here.hpp"

#include <atomic>
#include <berth/berth.hpp>
#include <gtest/gtest.h>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

namespace berth::tests {
namespace {

using namespace std::chrono_literals;

std::atomic<int> made{0};
std::binary_semaphore dropped{0};

struct says_dropped {
  ~says_dropped() { dropped.release(); }
};

stream<int> count(int end) {
  for (int i = 0; i < end; ++i) {
    made = i + 1;
    co_yield i;
  }
}

stream<std::string> words_for_ever(std::string word) {
  const says_dropped witness;
  while (!here().stop_requested())
    co_yield word;
}

stream<int> breaks() {
  co_yield 1;
  throw std::runtime_error("broke");
}

std::int64_t sum(stream<int> xs) {
  std::int64_t all = 0;
  for (int x : xs)
    all += x;
  return all;
}

std::counting_semaphore<> has_read_one{0};
std::counting_semaphore<> may_read_on{0};

std::int64_t sum_when_told(stream<int> xs) {
  std::int64_t all = xs.next().value_or(0);
  has_read_one.release();
  may_read_on.acquire();
  for (int x : xs)
    all += x;
  return all;
}

int first_only(stream<int> xs) {
  return xs.next().value_or(-1);
}

stream<int> running_sums(int start, stream<int> xs) {
  for (int x : xs)
    co_yield start += x;
}

void prints() {
  here().progress(0.5, "half");
  here().metric("loss", 0.25);
}

BERTH_EXPORT(&count);
BERTH_EXPORT(&words_for_ever);
BERTH_EXPORT(&breaks);
BERTH_EXPORT(&sum);
BERTH_EXPORT(&sum_when_told);
BERTH_EXPORT(&first_only);
BERTH_EXPORT(&running_sums);
BERTH_EXPORT(&prints);

TEST(remote_stream, brings_every_item_in_order) {
  const replica_here served("count");
  const session_to here(served);
  std::vector<int> seen;
  for (int i : here.function<stream<int>(int)>()(1000))
    seen.push_back(i);
  ASSERT_EQ(seen.size(), 1000u);
  for (int i = 0; i < 1000; ++i)
    ASSERT_EQ(seen[i], i);
}

TEST(remote_stream, holds_its_maker_back_when_nobody_reads) {
  const replica_here served("count");
  const session_to here(served);
  made = 0;
  auto numbers = here.function<stream<int>(int)>()(100000);
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(numbers.next(), i);
  // The callee may be ahead by the window of credits and what was granted since, never by more.
  EXPECT_LE(made, 10 + 2 * static_cast<int>(net::link::items_initial) + 1);
  int read = 10;
  while (read < 5000 && numbers.next())
    ++read;
  EXPECT_EQ(read, 5000);
}

TEST(remote_stream, that_is_dropped_ends_its_maker) {
  const replica_here served("words_for_ever");
  const session_to here(served);
  {
    auto words = here.function<stream<std::string>(std::string)>()("more");
    EXPECT_EQ(words.next(), "more");
  }
  EXPECT_TRUE(dropped.try_acquire_for(5s)) << "the generator runs on after its reader has gone";
}

TEST(remote_stream, tells_what_its_maker_threw_where_it_broke) {
  const replica_here served("breaks");
  const session_to here(served);
  auto numbers = here.function<stream<int>()>()();
  EXPECT_EQ(numbers.next(), 1);
  try {
    (void)numbers.next();
    FAIL() << "the maker threw";
  } catch (const error& e) {
    EXPECT_NE(e.message().find("broke"), std::string::npos);
  }
}

TEST(remote_stream, ends_at_its_deadline) {
  const replica_here served("words_for_ever");
  const session_to here(served);
  auto words = here.function<stream<std::string>(std::string)>().within(30ms)("more");
  try {
    while (words.next()) {
    }
    FAIL() << "a stream without end ended";
  } catch (const error& e) {
    EXPECT_TRUE(e.kind() == kind::timed_out || e.kind() == kind::cancelled) << e.what();
  }
  EXPECT_TRUE(dropped.try_acquire_for(5s));
}

TEST(remote_stream, goes_to_the_callee_too) {
  const replica_here served("sum");
  const session_to here(served);
  const auto f = here.function<std::int64_t(stream<int>)>();
  std::vector<int> xs(5000, 2);
  EXPECT_EQ(f(stream_of(xs)), 10000);
  EXPECT_EQ(f(stream_of(std::vector<int>{})), 0);
}

TEST(remote_stream, to_a_callee_that_reads_slowly_holds_its_maker_back) {
  const replica_here served("sum_when_told");
  const session_to here(served);
  const auto f = here.function<std::int64_t(stream<int>)>();
  made = 0;
  std::int64_t total = 0;
  std::thread caller([&] { total = f(count(10000)); });
  has_read_one.acquire();
  const auto window = static_cast<int>(net::link::items_initial);
  const auto limit = std::chrono::steady_clock::now() + 10s;
  while (made < window && std::chrono::steady_clock::now() < limit)
    std::this_thread::yield();
  EXPECT_GE(made, window) << "what is welcome is sent";
  for (int i = 0; i < 1000; ++i)
    std::this_thread::yield();
  EXPECT_LE(made, window + 2) << "more was made than the callee welcomed";
  may_read_on.release();
  caller.join();
  EXPECT_EQ(total, 10000 * 9999 / 2);
}

TEST(remote_stream, of_which_the_callee_reads_only_a_part_does_not_hang) {
  const replica_here served("first_only");
  const session_to here(served);
  const auto f = here.function<int(stream<int>)>();
  EXPECT_EQ(f(stream_of(std::vector<int>(5000, 7))), 7);
  EXPECT_EQ(f(stream_of(std::vector<int>(3, 8))), 8);
}

TEST(remote_stream, flows_both_ways_at_once) {
  const replica_here served("running_sums");
  const session_to here(served);
  const auto f = here.function<stream<int>(int, stream<int>)>();
  int expected = 100;
  std::size_t n = 0;
  for (int total : f(100, stream_of(std::vector<int>(1000, 1)))) {
    ++n;
    ASSERT_EQ(total, ++expected);
  }
  EXPECT_EQ(n, 1000u);
}

class hears final : public call_watcher {
 public:
  void on_progress(double fraction, std::string_view message) override {
    heard += std::to_string(fraction).substr(0, 3) + " " + std::string(message) + ";";
  }

  void on_metric(std::string_view name, double value) override {
    heard += std::string(name) + " " + std::to_string(value).substr(0, 4) + ";";
  }

  std::string heard;
};

TEST(call_watcher, hears_progress_and_metrics_before_the_result) {
  const replica_here served("prints");
  const session_to here(served);
  hears ears;
  here.function<void()>().with({.watch = &ears})();
  EXPECT_EQ(ears.heard, "0.5 half;loss 0.25;");
}

}  // namespace
}  // namespace berth::tests
