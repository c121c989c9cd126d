#include "actors/name_state.hpp"

#include <gtest/gtest.h>

namespace {

using namespace berth::actors;

template <class T>
std::vector<T> only(const name_effects& effects) {
  std::vector<T> out;
  for (const auto& one : effects)
    if (const auto* t = std::get_if<T>(&one)) out.push_back(*t);
  return out;
}

/// "a" with versions 1 and 2, `prod` at version 1 since revision 5.
struct served_name {
  name_state state{"a"};

  served_name() {
    for (std::uint32_t v : {1u, 2u}) {
      version_info info;
      info.number = v;
      info.signatures = "s";
      state.published(info);
    }
    state.flipped(1, {{"prod", 5, {{1, 10000}}, "0-10000:1"}});
    state.gates_closed(1);
    state.replicas(1, {{"worker:1", 11}});
  }

  name_effects flip(std::uint64_t id, std::uint64_t revision, std::uint32_t version) {
    return state.flipped(
        id, {{"prod", revision, {{version, 10000}}, "0-10000:" + std::to_string(version)}});
  }
};

TEST(name_state, a_flip_closes_gates_then_pushes_routes_then_is_done) {
  served_name n;
  n.state.follow(7, {"prod", 0, "me", "", ""});
  auto first = n.flip(2, 9, 2);
  auto gates = only<close_gates>(first);
  ASSERT_EQ(gates.size(), 1u);
  EXPECT_EQ(gates[0].gates, (std::vector<gate>{{1, 9}}));
  EXPECT_TRUE(only<push_route>(first).empty());
  EXPECT_TRUE(only<flip_done>(first).empty());
  auto then = n.state.gates_closed(2);
  ASSERT_EQ(only<push_route>(then).size(), 1u);
  EXPECT_EQ(only<push_route>(then)[0].route.revision, 9u);
  EXPECT_EQ(only<push_route>(then)[0].route.versions.at(0).version, 2u);
  EXPECT_EQ(only<flip_done>(then).size(), 1u);
}

TEST(name_state, what_left_the_tag_lives_until_the_gates_are_closed) {
  served_name n;
  auto first = only<claim_service>(n.flip(2, 9, 2));
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].version, 2u);
  EXPECT_TRUE(first[0].claims.tagged);
  auto then = only<claim_service>(n.state.gates_closed(2));
  ASSERT_EQ(then.size(), 1u);
  EXPECT_EQ(then[0].version, 1u);
  EXPECT_FALSE(then[0].claims.tagged);
}

TEST(name_state, another_tag_keeps_the_old_version) {
  served_name n;
  n.state.flipped(3, {{"stable", 6, {{1, 10000}}, ""}});
  n.state.gates_closed(3);
  n.flip(2, 9, 2);
  EXPECT_TRUE(only<claim_service>(n.state.gates_closed(2)).empty());
}

TEST(name_state, followers_hear_of_replicas_of_their_route_and_of_nothing_else) {
  served_name n;
  n.state.follow(7, {"prod", 0, "", "", ""});
  n.state.follow(8, {"", 2, "", "", ""});
  auto one = only<push_route>(n.state.replicas(1, {{"worker:1", 11}, {"worker:2", 12}}));
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].follower, 7u);
  EXPECT_EQ(one[0].route.versions.at(0).replicas.size(), 2u);
  auto two = only<push_route>(n.state.replicas(2, {{"worker:3", 13}}));
  ASSERT_EQ(two.size(), 1u);
  EXPECT_EQ(two[0].follower, 8u);
  n.state.forget(7);
  EXPECT_TRUE(n.state.replicas(1, {}).empty());
}

TEST(name_state, a_pinned_follower_claims_its_version_while_it_follows) {
  served_name n;
  auto came = only<claim_service>(n.state.follow(8, {"", 2, "", "", ""}));
  ASSERT_EQ(came.size(), 1u);
  EXPECT_EQ(came[0].claims.followers, 1u);
  auto went = only<claim_service>(n.state.forget(8));
  ASSERT_EQ(went.size(), 1u);
  EXPECT_EQ(went[0].claims.followers, 0u);
}

TEST(name_state, each_tag_has_a_gate_of_its_own_and_none_has_that_of_pinned_calls) {
  served_name n;
  n.state.flipped(3, {{"latest", 6, {{2, 10000}}, ""}, {"qa", 7, {{2, 10000}}, ""}});
  auto gates = n.state.gates();
  ASSERT_EQ(gates.size(), 3u);
  std::vector<std::uint32_t> slots;
  for (const auto& one : gates)
    slots.push_back(one.slot);
  std::sort(slots.begin(), slots.end());
  EXPECT_EQ(slots, (std::vector<std::uint32_t>{1, 2, 3}));
}

}  // namespace
