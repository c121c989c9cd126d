#include "runtime/base/bucket.hpp"

#include <array>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace berth::base {
namespace {

struct share {
  std::uint32_t version;
  std::uint32_t weight;
};

TEST(bucket, is_the_same_in_every_release) {
  // Golden values, computed by an independent program: a change here moves every canary's keys.
  static_assert(bucket_of("a", "prod", "k") < bucket_count);
  EXPECT_EQ(bucket_of("digits/classify", "prod", "user-7"), 7693u);
  EXPECT_EQ(bucket_of("digits/classify", "qa", "user-7"), 9684u);
}

TEST(bucket, spreads_keys_by_weight) {
  const std::array parts{share{1, 9000}, share{2, 1000}};
  int canary = 0;
  for (int key = 0; key < 20000; ++key)
    canary += part_of(parts, bucket_of("n", "prod", "row-" + std::to_string(key))) == 1;
  EXPECT_NEAR(canary / 20000.0, 0.10, 0.01);
}

TEST(bucket, moves_keys_only_towards_the_share_that_grows) {
  const std::array before{share{1, 9500}, share{2, 500}};
  const std::array after{share{1, 7000}, share{2, 3000}};
  for (std::uint32_t bucket = 0; bucket < bucket_count; ++bucket)
    if (part_of(before, bucket) == 1) {
      EXPECT_EQ(part_of(after, bucket), 1u) << bucket;
    }
}

TEST(bucket, beyond_the_weights_belongs_to_nobody) {
  EXPECT_EQ(part_of(std::vector<share>{}, 0), 0u);
  EXPECT_EQ(part_of(std::vector<share>{{1, 10}}, 10), 1u);
}

}  // namespace
}  // namespace berth::base
