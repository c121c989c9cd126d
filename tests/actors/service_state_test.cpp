#include "actors/service_state.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>

namespace {

using namespace berth::actors;
using namespace std::chrono_literals;
using berth::kind;

/// A service whose replicas the test starts and ends, on a clock the test advances.
struct stage {
  service_state state{"digits/classify@7", {}};
  clock::time_point now = clock::time_point(1h);
  std::uint64_t last_replica = 0;
  std::vector<std::uint64_t> drained;
  std::vector<std::uint64_t> tickets;
  std::vector<answer_waiter> answers;
  std::optional<clock::time_point> wake;
  int changes = 0;

  void take(const service_effects& effects) {
    for (const auto& one : effects) {
      if (const auto* start = std::get_if<start_one>(&one)) tickets.push_back(start->ticket);
      if (const auto* drain = std::get_if<drain_one>(&one)) drained.push_back(drain->replica);
      if (const auto* answer = std::get_if<answer_waiter>(&one)) answers.push_back(*answer);
      if (const auto* at = std::get_if<wake_at>(&one)) wake = at->when;
      if (std::holds_alternative<replicas_changed>(one)) ++changes;
    }
  }

  void claim(service_claims claims) { take(state.claim(claims, now)); }

  void await(std::uint64_t id, std::uint32_t need = 1) {
    take(state.await(id, need, now + 10s, now));
  }

  /// Places everything that was asked for; returns the new replicas.
  std::vector<std::uint64_t> place() {
    std::vector<std::uint64_t> out;
    while (!tickets.empty()) {
      auto ticket = tickets.back();
      tickets.pop_back();
      out.push_back(++last_replica);
      take(state.placed(ticket, last_replica, now));
    }
    return out;
  }

  void ready(std::uint64_t id) { take(state.ready(id, 1, 2, now)); }

  void end(std::uint64_t id) {
    take(state.ended(id, berth::fail(kind::outcome_unknown, "worker_died", "ended by SIGSEGV"),
                     now));
  }

  void pass(clock::duration time) {
    now += time;
    take(state.tick(now));
  }

  std::uint64_t up() {
    auto id = place().at(0);
    ready(id);
    return id;
  }
};

TEST(service_state, lives_while_a_tag_points_to_it_and_drains_when_the_last_goes) {
  stage s;
  s.claim({true, 0, 1});
  auto id = s.up();
  EXPECT_EQ(s.state.ready_count(), 1u);
  s.claim({false, 0, 1});
  EXPECT_EQ(s.drained, std::vector<std::uint64_t>{id});
  s.end(id);
  EXPECT_TRUE(s.tickets.empty()) << "what drained is not replaced";
  EXPECT_TRUE(s.state.idle(s.now));
}

TEST(service_state, a_pinned_follower_keeps_it_and_brings_it_back) {
  stage s;
  s.claim({true, 1, 1});
  auto id = s.up();
  s.claim({false, 1, 1});
  EXPECT_TRUE(s.drained.empty());
  s.claim({false, 0, 1});
  s.end(id);
  s.await(1);
  EXPECT_EQ(s.tickets.size(), 1u);
}

TEST(service_state, who_asked_for_it_hears_when_it_is_ready_and_it_lingers) {
  stage s;
  s.await(5);
  auto id = s.up();
  ASSERT_EQ(s.answers.size(), 1u);
  EXPECT_FALSE(s.answers[0].why);
  s.pass(20s);
  EXPECT_TRUE(s.drained.empty());
  s.pass(11s);
  EXPECT_EQ(s.drained, std::vector<std::uint64_t>{id});
}

TEST(service_state, a_dead_replica_is_replaced_with_growing_pauses_and_then_no_more) {
  stage s;
  s.claim({true, 0, 1});
  std::vector<clock::duration> pauses;
  for (int death = 1; death <= 4; ++death) {
    s.end(s.up());
    EXPECT_TRUE(s.tickets.empty());
    ASSERT_TRUE(s.wake);
    pauses.push_back(*s.wake - s.now);
    s.pass(pauses.back());
    EXPECT_EQ(s.tickets.size(), 1u) << "after death " << death;
  }
  EXPECT_TRUE(std::is_sorted(pauses.begin(), pauses.end()));
  EXPECT_LT(pauses.front(), pauses.back());
  auto id = s.place().at(0);
  s.await(9);
  s.end(id);
  ASSERT_EQ(s.answers.size(), 1u);
  ASSERT_TRUE(s.answers[0].why);
  EXPECT_EQ(s.answers[0].why->code, "keeps_dying");
  EXPECT_NE(s.answers[0].why->to_string().find("SIGSEGV"), std::string::npos);
  s.pass(1h);
  EXPECT_TRUE(s.tickets.empty()) << "it is not tried for ever";
  s.await(10);
  EXPECT_EQ(s.tickets.size(), 1u) << "being asked for is a new chance";
}

TEST(service_state, a_version_that_cannot_load_is_told_at_once_and_never_becomes_ready) {
  stage s;
  s.await(1);
  auto id = s.place().at(0);
  s.take(s.state.unfit(id, berth::fail(kind::invalid, "abi", "built for another release"), s.now));
  ASSERT_EQ(s.answers.size(), 1u);
  EXPECT_EQ(s.answers[0].why->code, "abi");
  s.end(id);
  s.pass(1min);
  EXPECT_TRUE(s.tickets.empty()) << "nobody holds it";
}

TEST(service_state, a_waiter_hears_at_its_deadline) {
  stage s;
  s.await(1);
  s.place();
  s.pass(10s);
  ASSERT_EQ(s.answers.size(), 1u);
  EXPECT_EQ(s.answers[0].why->kind, kind::timed_out);
}

TEST(service_state, scaling_up_and_down_starts_and_drains_the_difference) {
  stage s;
  s.claim({true, 0, 3});
  for (auto id : s.place())
    s.ready(id);
  EXPECT_EQ(s.state.ready_count(), 3u);
  s.claim({true, 0, 1});
  EXPECT_EQ(s.drained.size(), 2u);
  EXPECT_EQ(s.state.ready_count(), 1u);
}

TEST(service_state, a_restart_replaces_replicas_one_by_one_and_never_falls_below_what_is_wanted) {
  stage s;
  s.claim({true, 0, 2});
  auto old = s.place();
  for (auto id : old)
    s.ready(id);
  s.take(s.state.restart(7, s.now + 1min, s.now));
  for (int step = 0; step < 10 && s.answers.empty(); ++step) {
    EXPECT_GE(s.state.ready_count(), 2u);
    auto fresh = s.place();
    ASSERT_LE(fresh.size(), 1u) << "one by one";
    for (auto id : fresh)
      s.ready(id);
    for (auto id : std::exchange(s.drained, {}))
      s.end(id);
  }
  ASSERT_EQ(s.answers.size(), 1u);
  EXPECT_FALSE(s.answers[0].why);
  for (auto id : old)
    EXPECT_FALSE(s.state.replicas().contains(id));
  EXPECT_EQ(s.state.ready_count(), 2u);
}

TEST(service_state, a_cluster_without_room_is_asked_again_later) {
  stage s;
  s.claim({true, 0, 1});
  s.take(s.state.not_placed(s.tickets.at(0), berth::fail(kind::overloaded, "no_node", "no node"),
                            s.now));
  s.tickets.clear();
  ASSERT_TRUE(s.wake);
  s.pass(*s.wake - s.now);
  EXPECT_EQ(s.tickets.size(), 1u);
}

TEST(service_state, random_events_never_leave_more_than_wanted_nor_forget_a_waiter) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  stage s;
  std::uint64_t waiters = 0;
  for (int i = 0; i < 3000; ++i) {
    switch (random() % 7) {
      case 0:
        s.claim({random() % 2 == 0, static_cast<std::uint32_t>(random() % 2),
                 1 + static_cast<std::uint32_t>(random() % 3)});
        break;
      case 1:
        s.await(++waiters);
        break;
      case 2:
        s.place();
        break;
      case 3:
        for (const auto& [id, one] : std::map(s.state.replicas()))
          if (random() % 2) s.ready(id);
        break;
      case 4:
        if (!s.state.replicas().empty() && random() % 4 == 0)
          s.end(s.state.replicas().begin()->first);
        break;
      case 5:
        for (auto id : std::exchange(s.drained, {}))
          s.end(id);
        break;
      default:
        s.pass(std::chrono::milliseconds(random() % 3000));
    }
    ASSERT_LE(s.state.ready_count(), 3u) << "step " << i;
  }
  s.place();
  for (const auto& [id, one] : std::map(s.state.replicas()))
    s.ready(id);
  s.pass(1min);
  EXPECT_EQ(s.answers.size(), waiters) << "every waiter has heard";
}

}  // namespace
