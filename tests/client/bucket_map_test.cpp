#include "runtime/client/bucket_map.hpp"

#include <gtest/gtest.h>

namespace berth::client {
namespace {

verbs::route route_of(std::string layout) {
  verbs::route route;
  route.name = "n";
  route.tag = "prod";
  route.layout = std::move(layout);
  for (std::uint32_t version : {7, 8}) {
    verbs::served served;
    served.version = version;
    route.versions.push_back(served);
  }
  return route;
}

TEST(bucket_map, gives_each_bucket_to_the_version_of_its_range) {
  const auto map = bucket_map::of(route_of("0-100:8,100-9500:7,9500-10000:8"));
  ASSERT_TRUE(map.has_value());
  EXPECT_EQ(map->version_at(0), 1u);
  EXPECT_EQ(map->version_at(99), 1u);
  EXPECT_EQ(map->version_at(100), 0u);
  EXPECT_EQ(map->version_at(9499), 0u);
  EXPECT_EQ(map->version_at(9500), 1u);
  EXPECT_EQ(map->version_at(9999), 1u);
}

TEST(bucket_map, of_a_pinned_route_knows_one_version) {
  const auto map = bucket_map::of(route_of(""));
  ASSERT_TRUE(map.has_value());
  EXPECT_EQ(map->version_at(9999), 0u);
}

TEST(bucket_map, refuses_what_is_no_layout) {
  for (const char* text :
       {"x", "0-10000", "0-10000:", "0-9999:7", "1-10000:7", "0-5000:7,5001-10000:8", "0-10001:7",
        "0-10000:9", "0-10000:7,", "0-10000:7x", "0-0:7,0-10000:8", "0-5000:7;5000-10000:8",
        "0-99999999999:7"}) {
    const auto map = bucket_map::of(route_of(text));
    ASSERT_FALSE(map.has_value()) << text;
    EXPECT_EQ(map.error().code, "bad_layout");
  }
}

}  // namespace
}  // namespace berth::client
