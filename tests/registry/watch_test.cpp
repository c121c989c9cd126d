#include "registry/watch.hpp"

#include <gtest/gtest.h>
#include <random>

namespace {

using namespace berth::registry;

change row(std::uint64_t revision, std::string name, std::uint64_t group = 0) {
  change c;
  c.revision = revision;
  c.group = group ? group : revision;
  c.name = std::move(name);
  return c;
}

TEST(watch, starts_at_the_revision_asked_for_and_filters_by_prefix) {
  std::vector<change> log{row(1, "a/x"), row(2, "b/x"), row(3, "a/y")};
  watch_hub hub;
  hub.add(1, "a/", 2);
  auto pushes = hub.pump(log);
  ASSERT_EQ(pushes.size(), 1u);
  ASSERT_EQ(pushes[0].rows.size(), 1u);
  EXPECT_EQ(pushes[0].rows[0].revision, 3u);
  EXPECT_TRUE(hub.pump(log).empty()) << "nothing twice";
}

TEST(watch, a_future_revision_waits_for_it) {
  std::vector<change> log{row(1, "a")};
  watch_hub hub;
  hub.add(1, "", 3);
  EXPECT_TRUE(hub.pump(log).empty());
  log.push_back(row(2, "a"));
  log.push_back(row(3, "a"));
  auto pushes = hub.pump(log);
  ASSERT_EQ(pushes.size(), 1u);
  EXPECT_EQ(pushes[0].rows.front().revision, 3u);
}

TEST(watch, a_watcher_that_takes_nothing_gets_no_more_and_is_cut_with_its_last_revision) {
  watch_hub hub({.rows_in_flight_max = 4, .lag_max = 10});
  hub.add(1, "", 0);
  hub.add(2, "", 0);
  std::vector<change> log;
  bool cut = false;
  std::uint64_t last = 0;
  std::uint64_t good = 0;
  for (std::uint64_t r = 1; r <= 30; ++r) {
    log.push_back(row(r, "a"));
    for (auto& push : hub.pump(log)) {
      if (push.watcher == 2) {
        for (const auto& one : push.rows)
          EXPECT_EQ(one.revision, ++good);
        hub.taken(2, push.rows.size());
        EXPECT_FALSE(push.cut);
      } else {
        last = push.last;
        cut |= push.cut;
      }
    }
  }
  EXPECT_TRUE(cut);
  EXPECT_EQ(last, 4u);
  EXPECT_EQ(good, 30u) << "a slow watcher holds nobody back";
  EXPECT_EQ(hub.size(), 1u);
  hub.add(1, "", last + 1);
  EXPECT_EQ(hub.pump(log).at(0).rows.front().revision, 5u) << "and resumes without a gap";
}

TEST(watch, a_transaction_is_never_torn) {
  watch_hub hub({.rows_in_flight_max = 2, .lag_max = 1000});
  hub.add(1, "", 0);
  std::vector<change> log{row(1, "a"), row(2, "a", 2), row(3, "b", 2), row(4, "c", 2), row(5, "a")};
  auto pushes = hub.pump(log);
  ASSERT_EQ(pushes.size(), 1u);
  EXPECT_EQ(pushes[0].rows.back().revision, 4u);
}

TEST(watch, random_speeds_deliver_every_row_once_and_in_order) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  watch_hub hub({.rows_in_flight_max = 3, .lag_max = 100000});
  std::vector<change> log;
  std::vector<std::uint64_t> next(5, 1), held(5, 0);
  for (std::uint64_t w = 0; w < next.size(); ++w)
    hub.add(w, "", 0);
  while (log.size() < 500) {
    for (auto n = random() % 4; n > 0; --n)
      log.push_back(row(log.size() + 1, "a"));
    for (std::uint64_t w = 0; w < next.size(); ++w)
      if (random() % (w + 1) == 0) hub.taken(w, std::exchange(held[w], 0));
    for (auto& push : hub.pump(log)) {
      held[push.watcher] += push.rows.size();
      for (const auto& one : push.rows)
        ASSERT_EQ(one.revision, next[push.watcher]++);
    }
  }
}

}  // namespace
