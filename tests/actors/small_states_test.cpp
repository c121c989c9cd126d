// The smaller state machines: cluster, node, control; and times as text.

#include "actors/cluster_state.hpp"
#include "actors/control_state.hpp"
#include "actors/node_state.hpp"
#include "actors/time_text.hpp"

#include <gtest/gtest.h>

namespace {

using namespace berth::actors;
using namespace std::chrono_literals;

TEST(cluster_state, places_on_the_node_with_fewest_replicas) {
  cluster_state state;
  EXPECT_EQ(state.place("a").error().code, "no_node");
  auto one = state.join({"u1", "h", 1, 2});
  auto two = state.join({"u2", "h", 2, 2});
  EXPECT_EQ(state.place("a")->node, one);
  EXPECT_EQ(state.place("a")->node, two);
  EXPECT_EQ(state.join({"u1", "h", 9, 2}), one) << "the uuid is the identity";
}

TEST(cluster_state, a_late_replica_starts_with_the_gates_as_they_stand) {
  cluster_state state;
  state.join({"u1", "h", 1, 2});
  state.raise("a", {{1, 9}});
  state.raise("a", {{1, 7}, {2, 3}});
  EXPECT_EQ(state.place("a")->gates, (std::vector<gate>{{1, 9}, {2, 3}}));
  EXPECT_TRUE(state.place("b")->gates.empty());
}

TEST(cluster_state, a_lost_node_takes_its_replicas_with_it) {
  cluster_state state;
  auto node = state.join({"u1", "h", 1, 2});
  auto replica = state.place("a")->replica;
  EXPECT_EQ(state.lose(node), std::vector<std::uint64_t>{replica});
  EXPECT_EQ(state.replicas(), 0u);
}

template <class T>
int count(const node_effects& effects) {
  int n = 0;
  for (const auto& one : effects)
    n += std::holds_alternative<T>(one);
  return n;
}

replica_event event_of(std::uint64_t replica, replica_event::what happened) {
  replica_event event;
  event.replica = replica;
  event.happened = happened;
  return event;
}

TEST(node_state, a_replica_that_never_becomes_ready_is_told_and_killed) {
  node_state state;
  clock::time_point now(1h);
  replica_order order;
  order.replica = 1;
  order.health_ms_max = 1000;
  EXPECT_EQ(count<host_start>(state.order(order, now)), 1);
  EXPECT_EQ(count<host_kill>(state.tick(now + 60s)), 0);
  auto late = state.tick(now + 62s);
  EXPECT_EQ(count<host_kill>(late), 1);
  EXPECT_EQ(count<tell_cluster>(late), 1);
  EXPECT_EQ(count<host_kill>(state.tick(now + 70s)), 0) << "once";
  state.happened(event_of(1, replica_event::what::ended), now);
  EXPECT_EQ(state.replicas(), 0u);
}

TEST(node_state, draining_has_a_limit_and_what_still_starts_is_just_killed) {
  node_state state;
  clock::time_point now(1h);
  for (std::uint64_t id : {1, 2}) {
    replica_order order;
    order.replica = id;
    state.order(order, now);
  }
  state.happened(event_of(1, replica_event::what::ready), now);
  EXPECT_EQ(count<host_drain>(state.drain(1, 5s, now)), 1);
  EXPECT_EQ(count<host_kill>(state.drain(2, 5s, now)), 1);
  EXPECT_EQ(count<host_kill>(state.tick(now + 5s)), 1);
}

TEST(node_state, a_start_the_host_refuses_ends_the_replica) {
  node_state state;
  clock::time_point now(1h);
  replica_order order;
  order.replica = 1;
  state.order(order, now);
  EXPECT_EQ(
      count<tell_cluster>(state.refused(1, berth::fail(berth::kind::missing, "blob", "gone"), now)),
      2);
  EXPECT_EQ(state.replicas(), 0u);
}

TEST(control_state, a_connection_that_goes_gives_back_everything_it_held) {
  control_state state;
  auto a = state.begin(1, 10);
  auto b = state.begin(1, 11);
  auto c = state.begin(2, 10);
  EXPECT_TRUE(state.hold(a, holding::route, "n"));
  auto gone = state.gone(1);
  ASSERT_EQ(gone.size(), 2u);
  EXPECT_EQ(gone[0].what, holding::route);
  EXPECT_EQ(gone[0].name, "n");
  EXPECT_FALSE(state.hold(b, holding::watch)) << "too late";
  EXPECT_EQ(state.cancel(2, 10)->key, c);
  EXPECT_FALSE(state.finish(c));
  EXPECT_EQ(state.size(), 0u);
}

TEST(time_text, reads_what_it_writes_and_what_people_write) {
  for (std::int64_t us : {0ll, 1ll, 1764025199999999ll, -1ll})
    EXPECT_EQ(*parse_time(time_text(us)), us) << time_text(us);
  EXPECT_EQ(time_text(1764025199000001ll), "2025-11-24T22:59:59.000001Z");
  EXPECT_EQ(*parse_time("2025-11-24T23:59:59+01:00"), 1764025199000000ll);
  EXPECT_EQ(*parse_time("2025-11-24T22:59:59.5Z"), 1764025199500000ll);
  for (const char* bad : {"", "2025-11-24", "2025-13-24T00:00:00Z", "2025-11-24T25:00:00Z",
                          "2025-11-24T00:00:00", "2025-11-24T00:00:00Zx", "2025-11-24T00:00:00.Z",
                          "-025-11-24T00:00:00Z", "2025-02-30T00:00:00Z"})
    EXPECT_FALSE(parse_time(bad)) << bad;
}

}  // namespace
