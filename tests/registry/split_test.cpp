#include "registry/split.hpp"

#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>

namespace {

using namespace berth::registry;

std::map<std::uint32_t, std::uint32_t> counts(const layout& at) {
  std::map<std::uint32_t, std::uint32_t> out;
  for (std::uint32_t b = 0; b < weight_total; ++b)
    ++out[at.version_of(b)];
  return out;
}

std::uint32_t weight_in(const std::vector<part>& parts, std::uint32_t version) {
  for (const auto& one : parts)
    if (one.version == version) return one.weight;
  return 0;
}

TEST(split, each_version_owns_exactly_its_weight_of_buckets) {
  auto at = layout().moved_to({{7, 9500}, {8, 500}});
  EXPECT_EQ(at.to_string(), "0-9500:7,9500-10000:8");
  EXPECT_EQ(counts(at), (std::map<std::uint32_t, std::uint32_t>{{7, 9500}, {8, 500}}));
}

TEST(split, a_growing_canary_keeps_its_keys_and_a_shrunk_one_gets_the_same_back) {
  auto start = layout().moved_to({{7, 10000}}).moved_to({{7, 9500}, {8, 500}});
  auto more = start.moved_to({{7, 8000}, {8, 2000}});
  EXPECT_EQ(more.to_string(), "0-8000:7,8000-10000:8");
  EXPECT_EQ(more.moved_to({{7, 9500}, {8, 500}}), start);
}

TEST(split,
     random_changes_move_keys_only_from_shrinking_to_growing_versions_and_no_more_than_they_must) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  layout at;
  std::vector<part> old;
  for (int round = 0; round < 300; ++round) {
    std::set<std::uint32_t> versions;
    while (versions.size() < 1 + random() % 5)
      versions.insert(1 + random() % 6);
    std::vector<part> next;
    std::uint32_t left = weight_total;
    for (auto v : versions) {
      bool last = next.size() + 1 == versions.size();
      auto others = static_cast<std::uint32_t>(versions.size() - next.size() - 1);
      auto weight = last ? left : 1 + static_cast<std::uint32_t>(random() % (left - others));
      next.push_back({v, weight});
      left -= weight;
    }
    ASSERT_TRUE(check_split(next));
    auto moved = at.moved_to(next);
    std::uint32_t moves = 0, grown = 0;
    for (std::uint32_t b = 0; b < weight_total && !at.empty(); ++b) {
      auto from = at.version_of(b), to = moved.version_of(b);
      if (from == to) continue;
      ++moves;
      ASSERT_LT(weight_in(next, from), weight_in(old, from))
          << "bucket " << b << " left a version that did not shrink";
      ASSERT_GT(weight_in(next, to), weight_in(old, to))
          << "bucket " << b << " went to a version that did not grow";
    }
    for (const auto& one : next) {
      EXPECT_EQ(counts(moved)[one.version], one.weight);
      grown += one.weight - std::min(one.weight, weight_in(old, one.version));
    }
    if (!at.empty()) {
      EXPECT_EQ(moves, grown);
    }
    EXPECT_EQ(*layout::parse(moved.to_string()), moved);
    at = moved;
    old = next;
  }
}

TEST(split, ten_percent_of_distinct_keys_are_ten_percent) {
  auto at = layout().moved_to({{1, 10000}}).moved_to({{1, 9000}, {2, 1000}});
  int canary = 0;
  constexpr int keys = 20000;
  for (int i = 0; i < keys; ++i)
    canary +=
        at.version_of(berth::base::bucket_of("digits/classify", "prod", "row-" + std::to_string(i)))
        == 2;
  EXPECT_NEAR(100.0 * canary / keys, 10.0, 1.0);
}

TEST(split, one_that_cannot_be_is_refused_with_the_reason) {
  auto says = [](const std::vector<part>& parts) {
    auto ok = check_split(parts);
    return ok ? std::string("accepted") : ok.error().message;
  };
  EXPECT_NE(says({}).find("no version"), std::string::npos);
  EXPECT_NE(says({{1, 9999}}).find("add up to 9999"), std::string::npos);
  EXPECT_NE(says({{1, 5000}, {1, 5000}}).find("twice"), std::string::npos);
  EXPECT_NE(says({{0, 10000}}).find("numbered from 1"), std::string::npos);
  EXPECT_NE(says({{1, 10000}, {2, 0}}).find("weight 0"), std::string::npos);
  EXPECT_NE(says({{1, 0xffffffff}, {2, 10001}}).find("add up"), std::string::npos);
  EXPECT_NE(says(std::vector<part>(17, {1, 1})).find("17 parts"), std::string::npos);
}

TEST(split, texts_that_are_no_layout_are_refused) {
  for (const char* text :
       {"", "x", "0-10000", "0-9999:1", "1-10000:1", "0-5000:1,5001-10000:2", "0-10000:0",
        "0-10001:1", "0-10000:1,", "0-5000:1,5000-5000:2", "0-99999999999:1"})
    EXPECT_FALSE(layout::parse(text)) << text;
  EXPECT_FALSE(parse_parts("7"));
  EXPECT_FALSE(parse_parts("7:1,,8:1"));
  EXPECT_TRUE(parse_parts("")->empty());
  EXPECT_EQ(*parse_parts("7:9500,8:500"), (std::vector<part>{{7, 9500}, {8, 500}}));
}

}  // namespace
