#include "runtime/worker/item_flow.hpp"

#include "runtime/net/link.hpp"

#include <gtest/gtest.h>
#include <thread>

namespace berth::worker {
namespace {

net::message numbered(std::uint64_t n) {
  net::message item;
  item.header.call = n;
  return item;
}

TEST(item_flow, lets_as_many_items_go_as_are_welcome) {
  item_flow flow(2);
  EXPECT_TRUE(flow.take_credit());
  EXPECT_TRUE(flow.take_credit());
  std::thread reader([&] { flow.grant(1); });
  EXPECT_TRUE(flow.take_credit());
  reader.join();
}

TEST(item_flow, a_stop_ends_every_wait) {
  item_flow flow(0);
  std::thread stopper([&] { flow.stop(); });
  EXPECT_FALSE(flow.take_credit());
  net::message item;
  EXPECT_EQ(flow.pull(item), item_flow::pulled::stopped);
  stopper.join();
}

TEST(item_flow, hands_items_on_in_order_and_then_the_end) {
  item_flow flow(0);
  EXPECT_TRUE(flow.put(numbered(1)));
  EXPECT_TRUE(flow.put(numbered(2)));
  flow.end();
  net::message item;
  EXPECT_EQ(flow.pull(item), item_flow::pulled::item);
  EXPECT_EQ(item.header.call, 1u);
  EXPECT_EQ(flow.pull(item), item_flow::pulled::item);
  EXPECT_EQ(item.header.call, 2u);
  EXPECT_EQ(flow.pull(item), item_flow::pulled::end);
}

TEST(item_flow, refuses_items_beyond_the_window_and_after_the_end) {
  item_flow flow(0);
  for (std::uint32_t i = 0; i < net::link::items_initial; ++i)
    ASSERT_TRUE(flow.put(numbered(i)));
  EXPECT_FALSE(flow.put(numbered(99)));
  item_flow ended(0);
  ended.end();
  EXPECT_FALSE(ended.put(numbered(1)));
}

TEST(item_flow, welcomes_half_a_window_at_a_time) {
  item_flow flow(0);
  net::message item;
  std::uint32_t welcomed = 0;
  for (std::uint32_t i = 0; i < net::link::items_initial; ++i) {
    ASSERT_TRUE(flow.put(numbered(i)));
    flow.pull(item);
    welcomed += flow.taken();
  }
  EXPECT_EQ(welcomed, net::link::items_initial);
}

TEST(item_flow, a_flood_of_credits_does_not_wrap_around) {
  item_flow flow(~std::uint32_t{0} - 1);
  flow.grant(5);
  EXPECT_TRUE(flow.take_credit());
}

}  // namespace
}  // namespace berth::worker
