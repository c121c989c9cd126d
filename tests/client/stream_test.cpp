#include <berth/stream.hpp>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <vector>

namespace berth {
namespace {

stream<int> count_to(int end, int& made) {
  for (int i = 1; i <= end; ++i) {
    made = i;
    co_yield i;
  }
}

struct says_when_destroyed {
  bool& destroyed;

  ~says_when_destroyed() { destroyed = true; }
};

stream<std::string> endless(bool& destroyed) {
  const says_when_destroyed witness{destroyed};
  for (;;)
    co_yield "more";
}

stream<int> breaks_after(int good) {
  for (int i = 0; i < good; ++i)
    co_yield i;
  throw std::runtime_error("no more");
}

TEST(stream, makes_an_item_only_when_somebody_asks_for_it) {
  int made = 0;
  auto numbers = count_to(3, made);
  EXPECT_EQ(made, 0);
  EXPECT_EQ(numbers.next(), 1);
  EXPECT_EQ(made, 1);
  EXPECT_EQ(numbers.next(), 2);
  EXPECT_EQ(numbers.next(), 3);
  EXPECT_EQ(numbers.next(), std::nullopt);
  EXPECT_EQ(numbers.next(), std::nullopt);
}

TEST(stream, is_a_range) {
  int made = 0;
  std::vector<int> seen;
  for (int n : count_to(4, made))
    seen.push_back(n);
  EXPECT_EQ(seen, (std::vector{1, 2, 3, 4}));
}

TEST(stream, ends_its_maker_when_dropped) {
  bool destroyed = false;
  {
    auto words = endless(destroyed);
    EXPECT_EQ(words.next(), "more");
    EXPECT_FALSE(destroyed);
  }
  EXPECT_TRUE(destroyed);
}

TEST(stream, hands_on_what_its_maker_throws_and_has_then_ended) {
  auto numbers = breaks_after(1);
  EXPECT_EQ(numbers.next(), 0);
  EXPECT_THROW((void)numbers.next(), std::runtime_error);
  EXPECT_EQ(numbers.next(), std::nullopt);
}

TEST(stream, moves_with_its_maker) {
  int made = 0;
  auto first = count_to(3, made);
  EXPECT_EQ(first.next(), 1);
  stream<int> second = std::move(first);
  EXPECT_EQ(second.next(), 2);
  EXPECT_EQ(stream<int>().next(), std::nullopt);
}

TEST(stream, carries_a_containers_items) {
  std::vector<std::string> seen;
  for (auto& word : stream_of(std::vector<std::string>{"a", "b"}))
    seen.push_back(word);
  EXPECT_EQ(seen, (std::vector<std::string>{"a", "b"}));
}

}  // namespace
}  // namespace berth
