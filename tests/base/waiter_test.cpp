#include "runtime/base/waiter.hpp"

#include <gtest/gtest.h>

namespace berth::base {
namespace {

TEST(waiter, looks_once_and_does_not_spin_when_the_peer_last_ran_on_this_cpu) {
  waiter habits;
  int looks = 0;
  // The thread may move between two calls; then it spins, and the next try meets the same CPU.
  for (int tries = 0; tries < 100; ++tries) {
    looks = 0;
    EXPECT_FALSE(habits.spin([&] { return ++looks > 1'000'000; }, false, current_cpu()));
    if (looks == 1) break;
  }
  EXPECT_EQ(looks, 1);
}

TEST(waiter, finds_what_is_there_without_spinning) {
  waiter habits;
  EXPECT_TRUE(habits.spin([] { return true; }, false, no_cpu));
  EXPECT_EQ(habits.hits(), 0U);
  EXPECT_EQ(habits.misses(), 0U);
}

TEST(waiter, stops_spinning_after_two_misses_in_a_row_and_tries_again_after_16_waits) {
  if (!spinning_may_pay()) GTEST_SKIP() << "fewer than two CPUs to run on: nothing spins here";
  waiter habits;
  const auto nothing = [] { return false; };
  EXPECT_FALSE(habits.spin(nothing, false, no_cpu));
  EXPECT_FALSE(habits.spin(nothing, false, no_cpu));
  EXPECT_EQ(habits.misses(), 2U);
  for (std::uint32_t i = 0; i < waiter::off_waits_min; ++i) {
    int looks = 0;
    EXPECT_FALSE(habits.spin([&] { return ++looks > 1; }, false, no_cpu));
    EXPECT_EQ(looks, 1);
  }
  int looks = 0;
  EXPECT_TRUE(habits.spin([&] { return ++looks > 3; }, false, no_cpu));
  EXPECT_EQ(habits.hits(), 1U);
}

}  // namespace
}  // namespace berth::base
