#include "scheduler/inventory.hpp"

#include "tests/scheduler/clusters.hpp"

#include <gtest/gtest.h>
#include <set>

namespace berth::sched {
namespace {

using testing_support::left_of;
using testing_support::must;

node_spec eight_gpus(std::string name) {
  node_spec spec;
  spec.name = std::move(name);
  spec.cpu_milli = 64'000;
  spec.memory_mib = 1 << 18;
  spec.topology = base::uniform_topology(8, "H100", 80'000, 400'000, 2);
  return spec;
}

placement shares(std::initializer_list<slot> slots, std::uint16_t milli, std::uint32_t memory) {
  return {{1000, 100, 1, milli, memory}, slots, proximity::device, 0};
}

TEST(inventory, release_restores_the_exact_state) {
  inventory nodes;
  must(nodes.add(eight_gpus("a")));
  must(nodes.add(eight_gpus("b")));
  const auto before = left_of(nodes);
  const auto one = nodes.reserve(shares({{0, 1}, {1, 2}}, 300, 20'000)).value();
  const auto two =
      nodes.reserve({{8000, 1000, 2, 1000, 0}, {{0, 0b1100}}, proximity::island, 0}).value();
  EXPECT_EQ(nodes.milli(0)[0], 700);
  EXPECT_EQ(nodes.device_memory(1)[1], 60'000U);
  EXPECT_EQ(nodes.idle(0), 5U);
  EXPECT_EQ(nodes.row(0).cpu_milli, 64'000 - 1000 - 8000);
  nodes.release(one).value();
  nodes.release(two).value();
  EXPECT_EQ(left_of(nodes), before);
  EXPECT_EQ(nodes.claims(), 0U);
}

TEST(inventory, drops_what_is_on_one_node_and_keeps_the_rest) {
  inventory nodes;
  must(nodes.add(eight_gpus("a")));
  must(nodes.add(eight_gpus("b")));
  const auto before = left_of(nodes);
  const auto held = nodes.reserve(shares({{0, 1}, {1, 2}, {0, 4}}, 300, 20'000)).value();
  const auto kept = nodes.drop(held, 0).value();
  EXPECT_EQ(nodes.held(kept)->ranks, (std::vector<slot>{{1, 2}}));
  EXPECT_EQ(nodes.milli(0)[0], 1000);
  EXPECT_EQ(nodes.milli(1)[1], 700);
  EXPECT_EQ(nodes.release(held).error().code, "old_claim");
  EXPECT_EQ(nodes.drop(kept, 1).error().code, "not_part") << "nothing would be left";
  EXPECT_EQ(nodes.drop(kept, 0).error().code, "not_part");
  nodes.release(kept).value();
  EXPECT_EQ(left_of(nodes), before);
  EXPECT_EQ(nodes.claims(), 0U);
}

TEST(inventory, device_memory_of_shares_is_never_promised_twice) {
  inventory nodes;
  must(nodes.add(eight_gpus("a")));
  must(nodes.reserve(shares({{0, 1}}, 100, 50'000)));
  const auto second = nodes.reserve(shares({{0, 1}}, 100, 50'000));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, kind::conflict);
}

TEST(inventory, a_failed_reservation_takes_nothing) {
  inventory nodes;
  must(nodes.add(eight_gpus("a")));
  must(nodes.reserve(shares({{0, 2}}, 900, 0)));
  const auto before = left_of(nodes);
  EXPECT_FALSE(nodes.reserve(shares({{0, 1}, {0, 2}}, 200, 0)));
  EXPECT_FALSE(nodes.reserve(shares({{0, 1}, {7, 2}}, 200, 0)));
  EXPECT_FALSE(nodes.reserve(shares({{0, 1U << 8}}, 200, 0)));
  EXPECT_EQ(left_of(nodes), before);
}

TEST(inventory, refuses_a_claim_of_an_older_epoch) {
  inventory nodes;
  must(nodes.add(eight_gpus("a")));
  const auto first = nodes.reserve(shares({{0, 1}}, 500, 0)).value();
  const auto grown = nodes.grow(first, shares({{0, 2}}, 500, 0)).value();
  EXPECT_EQ(nodes.release(first).error().kind, kind::conflict);
  EXPECT_EQ(nodes.held(grown)->ranks, (std::vector<slot>{{0, 1}, {0, 2}}));
  nodes.release(grown).value();
  EXPECT_EQ(nodes.release(grown).error().kind, kind::conflict);
  const auto reused = nodes.reserve(shares({{0, 1}}, 500, 0)).value();
  EXPECT_NE(reused, first);
  EXPECT_FALSE(nodes.held(grown).has_value());
}

TEST(inventory, a_sick_device_is_set_aside_while_its_neighbours_serve) {
  inventory nodes;
  must(nodes.add(eight_gpus("a")));
  const auto held = nodes.reserve(shares({{0, 1}}, 400, 0)).value();
  nodes.set_healthy(0, 0, false);
  EXPECT_EQ(nodes.milli(0)[0], 0);
  EXPECT_EQ(nodes.idle(0), 7U);
  EXPECT_EQ(nodes.total().gpu_milli, 7000);
  nodes.release(held).value();
  EXPECT_EQ(nodes.milli(0)[0], 0);
  nodes.set_healthy(0, 0, true);
  EXPECT_EQ(nodes.milli(0)[0], 1000);
}

TEST(inventory, a_node_may_have_sixteen_devices) {
  inventory nodes;
  auto spec = eight_gpus("dgx2");
  spec.topology = base::uniform_topology(16, "V100", 32'768, 150'000, 2);
  const auto node = nodes.add(spec).value();
  must(nodes.reserve({{1000, 0, 16, 1000, 0}, {{node, 0xFFFF}}, proximity::island, 0}));
  EXPECT_EQ(nodes.idle(node), 0U);
}

TEST(inventory, says_what_is_wrong_with_a_node) {
  inventory nodes;
  must(nodes.add(eight_gpus("a")));
  EXPECT_EQ(nodes.add(eight_gpus("a")).error().code, "name_taken");
  auto negative = eight_gpus("b");
  negative.cpu_milli = -1;
  EXPECT_NE(nodes.add(negative).error().message.find("cpu_milli is -1"), std::string::npos);
  auto crowded = eight_gpus("c");
  crowded.topology = base::uniform_topology(65, "T4", 0, 0);
  EXPECT_FALSE(nodes.add(crowded));
  EXPECT_EQ(nodes.size(), 1U);
}

TEST(inventory, tells_which_nodes_changed_also_after_the_journal_wrapped) {
  inventory nodes;
  for (int i = 0; i < 3000; ++i)
    must(nodes.add(eight_gpus("n" + std::to_string(i))));
  const auto since = nodes.revision();
  const auto changed = [&](std::uint64_t from) {
    std::multiset<node_id> found;
    nodes.changed_since(from, [&](node_id node) { found.insert(node); });
    return found;
  };
  EXPECT_TRUE(changed(since).empty());
  EXPECT_EQ(changed(0).size(), nodes.size());
  for (int round = 0; round < 2; ++round)
    nodes.release(nodes.reserve(shares({{7, 1}, {9, 1}}, 10, 0)).value()).value();
  EXPECT_EQ(changed(since), (std::multiset<node_id>{7, 9}));
  for (int round = 0; round < 5000; ++round)
    nodes.release(nodes.reserve(shares({{11, 1}}, 10, 0)).value()).value();
  EXPECT_EQ(changed(since), (std::multiset<node_id>{7, 9, 11}));
}

TEST(inventory, copies_are_independent) {
  inventory nodes;
  must(nodes.add(eight_gpus("a")));
  const auto held = nodes.reserve(shares({{0, 1}}, 500, 0)).value();
  auto copy = nodes;
  EXPECT_NE(copy.identity(), nodes.identity());
  copy.release(held).value();
  must(copy.add(eight_gpus("b")));
  EXPECT_EQ(nodes.size(), 1U);
  EXPECT_FALSE(nodes.find("b").has_value());
  EXPECT_TRUE(nodes.held(held).has_value());
  EXPECT_EQ(nodes.milli(0)[0], 500);
}

TEST(inventory, random_reservations_never_overcommit_and_come_back_whole) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    random_source random(seed);
    auto nodes = testing_support::random_cluster(random, 6, 8);
    const auto before = left_of(nodes);
    std::vector<claim> held;
    for (int step = 0; step < 300; ++step) {
      if (!held.empty() && random.below(2) == 0) {
        const auto at = random.below(static_cast<std::uint32_t>(held.size()));
        nodes.release(held[at]).value();
        held.erase(held.begin() + at);
        continue;
      }
      placement wild{testing_support::random_demand(random).each, {}, proximity::device, 0};
      for (std::uint32_t rank = 0; rank <= random.below(3); ++rank)
        wild.ranks.push_back({random.below(7), random.next() & 0xFF & random.next()});
      if (const auto got = nodes.reserve(wild)) held.push_back(*got);
      for (const auto number : left_of(nodes).numbers)
        ASSERT_GE(number, 0);
    }
    for (const auto one : held)
      nodes.release(one).value();
    EXPECT_EQ(left_of(nodes), before);
  }
}

}  // namespace
}  // namespace berth::sched
