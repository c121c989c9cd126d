#include "scheduler/placement.hpp"

#include "scheduler/feasible.hpp"
#include "scheduler/gang.hpp"
#include "scheduler/policy.hpp"
#include "tests/scheduler/clusters.hpp"

#include <bit>
#include <gtest/gtest.h>
#include <map>
#include <set>

namespace berth::sched {
namespace {

using testing_support::left_of;
using testing_support::must;

std::unique_ptr<policy> policy_named(std::string_view name, std::uint64_t seed = 1) {
  policy_options options;
  options.seed = seed;
  return std::move(make_policy(name, options).value());
}

/// Two islands of four, one per NUMA domain, as on a machine with two boards.
base::topology two_islands() {
  auto made = base::uniform_topology(8, "H100", 80'000, 0, 2);
  for (std::uint16_t a = 0; a < 8; ++a)
    for (auto b = static_cast<std::uint16_t>(a + 1); b < 8; ++b)
      if (a / 4 == b / 4) made.links.push_back({a, b, 300'000});
  return made;
}

node_spec node(std::string name,
               base::topology topology,
               std::map<std::string, std::string> labels = {}) {
  node_spec spec;
  spec.name = std::move(name);
  spec.cpu_milli = 64'000;
  spec.memory_mib = 1 << 18;
  spec.topology = std::move(topology);
  spec.labels = std::move(labels);
  return spec;
}

demand gang_of(std::uint32_t least, std::uint32_t most, std::uint16_t gpus = 1) {
  demand wanted;
  wanted.name = "gang";
  wanted.each = {1000, 0, gpus, 1000, 0};
  wanted.gang = gang_wish{least, most};
  return wanted;
}

void occupy(inventory& nodes, node_id node, std::uint64_t devices) {
  must(nodes.reserve({{0, 0, static_cast<std::uint16_t>(std::popcount(devices)), 1000, 0},
                      {{node, devices}},
                      proximity::device,
                      0}));
}

TEST(placement, never_splits_a_gang_when_one_island_fits) {
  inventory nodes;
  must(nodes.add(node("a", two_islands())));
  occupy(nodes, 0, 0b0000'0011);
  const auto by = policy_named("fill");
  const auto placed = plan(nodes, *by, gang_of(4, 4)).value();
  EXPECT_EQ(placed.within, proximity::island);
  EXPECT_EQ(placed.mb_per_s_min, 300'000U);
  for (const auto& rank : placed.ranks)
    EXPECT_NE(rank.devices & 0b1111'0000, 0U);
}

TEST(placement, prefers_the_faster_island_and_leaves_the_larger_group_whole) {
  inventory nodes;
  must(nodes.add(node("a", two_islands())));
  occupy(nodes, 0, 0b0000'0001);
  const auto by = policy_named("fill");
  // Three devices are left of the first island: a gang of three belongs there, not into the whole one.
  const auto placed = plan(nodes, *by, gang_of(3, 3)).value();
  std::uint64_t devices = 0;
  for (const auto& rank : placed.ranks)
    devices |= rank.devices;
  EXPECT_EQ(devices, 0b0000'1110U);
}

TEST(placement, an_island_may_span_two_numa_domains) {
  inventory nodes;
  must(nodes.add(node("hgx", base::uniform_topology(8, "H100", 80'000, 478'116, 2))));
  const auto by = policy_named("fill");
  EXPECT_EQ(plan(nodes, *by, gang_of(8, 8)).value().within, proximity::island);
}

TEST(placement, ranks_walk_over_the_fastest_links) {
  // A ring 0-2-1-3: the direct order 0-1-2-3 would use links that do not exist.
  auto ring = base::uniform_topology(4, "V100", 0, 0, 1);
  ring.links = {{0, 2, 50'000}, {1, 2, 50'000}, {1, 3, 50'000}, {0, 3, 25'000}};
  inventory nodes;
  must(nodes.add(node("ring", ring)));
  const auto by = policy_named("fill");
  const auto placed = plan(nodes, *by, gang_of(4, 4)).value();
  std::vector<int> walk;
  for (const auto& rank : placed.ranks)
    walk.push_back(std::countr_zero(rank.devices));
  EXPECT_EQ(walk, (std::vector<int>{0, 2, 1, 3}));
}

TEST(placement, goes_to_a_rack_before_a_zone_before_the_cluster) {
  inventory nodes;
  for (int i = 0; i < 8; ++i)
    must(nodes.add(node("n" + std::to_string(i), base::uniform_topology(2, "T4", 0, 0),
                        {{"rack", std::to_string(i / 2)}, {"zone", std::to_string(i / 4)}})));
  const auto by = policy_named("fill");
  EXPECT_EQ(plan(nodes, *by, gang_of(4, 4)).value().within, proximity::rack);
  for (node_id node = 0; node < 8; node += 2)
    occupy(nodes, node, 1);
  EXPECT_EQ(plan(nodes, *by, gang_of(4, 4)).value().within, proximity::zone);
  EXPECT_EQ(plan(nodes, *by, gang_of(7, 7)).value().within, proximity::cluster);
  auto strict = gang_of(7, 7);
  strict.affinity = affinity_wish{proximity::zone, strength::required};
  EXPECT_EQ(plan(nodes, *by, strict).error().code, "no_room");
}

TEST(placement, an_elastic_gang_starts_with_what_fits_and_grows) {
  inventory nodes;
  must(nodes.add(node("a", two_islands())));
  must(nodes.add(node("b", two_islands())));
  occupy(nodes, 0, 0b0011'1111);
  occupy(nodes, 1, 0b1111'1110);
  const auto by = policy_named("fill");
  const auto wanted = gang_of(2, 6);
  const auto started = plan(nodes, *by, wanted).value();
  EXPECT_EQ(started.ranks.size(), 3U);
  const auto held = nodes.reserve(started).value();
  EXPECT_EQ(plan_growth(nodes, *by, wanted, started, 3).error().code, "no_room");
  must(nodes.add(node("c", two_islands())));
  const auto more = plan_growth(nodes, *by, wanted, started, 3).value();
  EXPECT_EQ(more.ranks.size(), 3U);
  const auto grown = nodes.grow(held, more).value();
  EXPECT_EQ(nodes.held(grown)->ranks.size(), 6U);
}

TEST(placement, says_whether_waiting_can_help) {
  inventory nodes;
  must(nodes.add(node("a", two_islands())));
  must(nodes.add(node("b", two_islands())));
  nodes.set_condition(1, node_condition::drained);
  occupy(nodes, 0, 0xFF);
  const auto by = policy_named("fill");
  EXPECT_EQ(plan(nodes, *by, gang_of(16, 16)).error().code, "no_room") << "a drained node counts";
  EXPECT_EQ(plan(nodes, *by, gang_of(17, 17)).error().code, "never_fits");
  nodes.set_condition(1, node_condition::gone);
  EXPECT_EQ(plan(nodes, *by, gang_of(16, 16)).error().code, "never_fits");
  demand odd;
  odd.each = {1000, 0, 2, 500, 0};
  EXPECT_EQ(plan(nodes, *by, odd).error().code, "bad_demand");
  demand other_model;
  other_model.each = {1000, 0, 1, 1000, 0};
  other_model.models = {"TPU"};
  EXPECT_EQ(plan(nodes, *by, other_model).error().code, "never_fits");
}

TEST(placement, replicas_spread_over_two_nodes_survive_the_loss_of_either) {
  for (const auto name : policy_names()) {
    inventory nodes;
    for (int i = 0; i < 4; ++i)
      must(nodes.add(
          node("n" + std::to_string(i), two_islands(), {{"rack", std::to_string(i / 2)}})));
    const auto by = policy_named(name);
    demand service;
    service.each = {1000, 0, 1, 300, 1000};
    service.replicas = 2;
    service.spread = spread_wish{"rack", 1, strength::required};
    const auto placed = plan(nodes, *by, service).value();
    ASSERT_EQ(placed.ranks.size(), 2U) << name;
    EXPECT_NE(nodes.rack(placed.ranks[0].node), nodes.rack(placed.ranks[1].node)) << name;
    const plan_options beside{nullptr, placed.ranks};
    EXPECT_FALSE(plan(nodes, *by, service, beside)) << name << ": both racks have one already";
  }
}

TEST(placement, tries_nodes_that_hold_the_artifacts_first) {
  inventory nodes;
  for (int i = 0; i < 4; ++i)
    must(nodes.add(node("n" + std::to_string(i), two_islands())));
  nodes.set_holds(2, "sha256:weights", true);
  const auto by = policy_named("bestfit");
  demand wanted;
  wanted.each = {1000, 0, 1, 1000, 0};
  wanted.artifacts = {"sha256:weights"};
  EXPECT_EQ(plan(nodes, *by, wanted).value().ranks[0].node, 2U);
  occupy(nodes, 2, 0xFF);
  EXPECT_NE(plan(nodes, *by, wanted).value().ranks[0].node, 2U);
}

TEST(placement, counts_the_nodes_each_obstacle_removes) {
  inventory nodes;
  for (int i = 0; i < 6; ++i)
    must(nodes.add(node("n" + std::to_string(i), i == 5 ? base::topology{} : two_islands(),
                        {{"disk", i < 4 ? "fast" : "slow"}})));
  nodes.set_condition(0, node_condition::drained);
  occupy(nodes, 1, 0x7F);
  demand wanted;
  wanted.each = {1000, 0, 2, 1000, 0};
  wanted.labels = {{"disk", {"fast"}, label_wish::sense::among, strength::required}};
  node_mask allowed(6 + score_mask_padding, 0xFF);
  allowed[2] = 0;
  must(nodes.reserve({{63'500, 0, 0, 0, 0}, {{3, 0}}, proximity::device, 0}));
  const auto report = explain_fit(nodes, wanted, {&allowed, {}});
  const auto count = [&](obstacle why) { return report.nodes_by[static_cast<std::size_t>(why)]; };
  EXPECT_EQ(count(obstacle::condition), 1U);
  EXPECT_EQ(count(obstacle::gpu), 1U);
  EXPECT_EQ(count(obstacle::barred), 1U);
  EXPECT_EQ(count(obstacle::cpu), 1U);
  EXPECT_EQ(count(obstacle::labels), 2U);
  EXPECT_EQ(count(obstacle::none), 0U);
  EXPECT_EQ(report.nearest, 3U);
  EXPECT_EQ(report.missing.cpu_milli, 500);
}

// --- properties ----------------------------------------------------------------------------------------------------

/// The best level a gang of `ranks` can reach, by trying every set of devices of every node and every domain.
std::uint32_t brute_force_nearness(const inventory& nodes,
                                   const demand& wanted,
                                   std::uint32_t ranks) {
  const auto of = compile(nodes, wanted);
  std::uint32_t best = 0;
  std::map<std::uint32_t, std::uint32_t> racks;
  std::map<std::uint32_t, std::uint32_t> zones;
  for (node_id node = 0; node < nodes.size(); ++node) {
    if (nodes.row(node).flags != 0) continue;
    const auto usable = usable_devices(nodes, of, node);
    std::uint32_t room = static_cast<std::uint32_t>(std::popcount(usable)) / wanted.each.gpus;
    while (room > 0
           && (nodes.row(node).cpu_milli < static_cast<std::int64_t>(room) * wanted.each.cpu_milli
               || nodes.row(node).memory_mib
                      < static_cast<std::int64_t>(room) * wanted.each.memory_mib))
      --room;
    racks[nodes.rack(node)] += room;
    zones[nodes.zone(node)] += room;
    if (room < ranks) continue;
    for (auto set = usable;; set = (set - 1) & usable) {
      if (static_cast<std::uint32_t>(std::popcount(set)) == ranks * wanted.each.gpus)
        best = std::max(best, nearness_of(nodes.kind(node), set));
      if (set == 0) break;
    }
  }
  if (best > 0) return best;
  for (const auto& [rack, room] : racks)
    if (room >= ranks) best = std::max(best, static_cast<std::uint32_t>(proximity::rack) << 24);
  for (const auto& [zone, room] : zones)
    if (room >= ranks) best = std::max(best, static_cast<std::uint32_t>(proximity::zone) << 24);
  return best;
}

TEST(placement, the_level_of_a_gang_is_the_best_by_brute_force) {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE(seed);
    random_source random(seed);
    auto nodes = testing_support::random_cluster(random, 6, 9);
    const auto by = policy_named("fgd");
    for (int fill = 0; fill < 10; ++fill) {
      demand some = testing_support::random_demand(random);
      some.gang.reset();
      if (const auto placed = plan(nodes, *by, some)) must(nodes.reserve(*placed));
    }
    auto wanted = gang_of(1 + random.below(6), 1, static_cast<std::uint16_t>(1 + random.below(2)));
    wanted.gang->ranks_max = wanted.gang->ranks_min;
    const auto placed = plan(nodes, *by, wanted);
    if (!placed) continue;
    const auto best = brute_force_nearness(nodes, wanted, wanted.gang->ranks_min);
    EXPECT_EQ(placed->within, level_of(best));
    EXPECT_EQ(placed->mb_per_s_min, mb_per_s_of(best));
  }
}

void expect_wishes_kept(const inventory& nodes, const demand& wanted, const placement& placed) {
  if (wanted.gang) {
    EXPECT_GE(placed.ranks.size(), wanted.gang->ranks_min);
    EXPECT_LE(placed.ranks.size(), wanted.gang->ranks_max);
  } else {
    EXPECT_LE(placed.ranks.size(), wanted.replicas);
  }
  std::map<std::uint32_t, std::uint32_t> per_domain;
  for (const auto& rank : placed.ranks) {
    EXPECT_EQ(nodes.condition(rank.node), node_condition::ready);
    EXPECT_EQ(std::popcount(rank.devices), wanted.each.gpus);
    for (const auto& wish : wanted.labels)
      EXPECT_TRUE(wish.force == strength::preferred || satisfies(nodes, rank.node, wish));
    for (auto devices = rank.devices; devices != 0; devices &= devices - 1) {
      const auto device = static_cast<std::uint32_t>(std::countr_zero(devices));
      EXPECT_TRUE(nodes.healthy(rank.node, device));
      EXPECT_NE(nodes.model_mask(wanted.models) >> nodes.kind(rank.node).model[device] & 1, 0U);
    }
    if (wanted.spread) ++per_domain[nodes.domain(rank.node, wanted.spread->domain)];
  }
  for (const auto& [domain, count] : per_domain)
    EXPECT_TRUE(wanted.spread->force == strength::preferred
                || count <= wanted.spread->per_domain_max);
  if (!wanted.affinity || wanted.affinity->force != strength::required) return;
  if (wanted.gang) {
    EXPECT_GE(placed.within, wanted.affinity->within);
  } else {
    for (const auto& rank : placed.ranks)
      EXPECT_GE(level_of(nearness_of(nodes.kind(rank.node), rank.devices)),
                wanted.affinity->within);
  }
}

TEST(placement, random_work_is_placed_soundly_by_every_policy) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed)
    for (const auto name : policy_names()) {
      SCOPED_TRACE(std::string(name) + " " + std::to_string(seed));
      random_source random(seed);
      auto nodes = testing_support::random_cluster(random, 8, 8);
      const auto before = left_of(nodes);
      const auto by = policy_named(name, seed);
      std::vector<claim> held;
      for (int step = 0; step < 80; ++step) {
        if (!held.empty() && random.below(3) == 0) {
          nodes.release(held.back()).value();
          held.pop_back();
          continue;
        }
        const auto wanted = testing_support::random_demand(random);
        by->arrived(nodes, wanted);
        const auto unplanned = left_of(nodes);
        auto copy = nodes;
        const auto opinion = by->clone_for(copy);
        const auto predicted = plan(copy, *opinion, wanted);
        const auto placed = plan(nodes, *by, wanted);
        ASSERT_EQ(left_of(nodes), unplanned) << "planning changes nothing";
        ASSERT_EQ(predicted.has_value(), placed.has_value());
        if (!placed) {
          EXPECT_EQ(placed.error().code == "no_room" || placed.error().code == "never_fits", true);
          continue;
        }
        EXPECT_EQ(*predicted, *placed) << "a what-if answers what follows";
        expect_wishes_kept(nodes, wanted, *placed);
        held.push_back(nodes.reserve(*placed).value());
      }
      for (const auto one : held)
        nodes.release(one).value();
      EXPECT_EQ(left_of(nodes), before);
    }
}

TEST(placement, a_plain_demand_fails_only_when_no_node_is_feasible) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed)
    for (const auto name : policy_names()) {
      random_source random(seed);
      auto nodes = testing_support::random_cluster(random, 8, 8);
      const auto by = policy_named(name, seed);
      for (int step = 0; step < 60; ++step) {
        demand wanted;
        wanted.each = testing_support::random_demand(random).each;
        by->arrived(nodes, wanted);
        bool feasible_somewhere = false;
        for (node_id node = 0; node < nodes.size(); ++node)
          feasible_somewhere = feasible_somewhere || why_not(nodes, wanted, node) == obstacle::none;
        const auto placed = plan(nodes, *by, wanted);
        ASSERT_EQ(placed.has_value(), feasible_somewhere) << name << " seed " << seed;
        if (placed) must(nodes.reserve(*placed));
      }
    }
}

TEST(placement, the_same_seed_places_the_same) {
  for (const auto name : policy_names()) {
    std::vector<placement> runs[2];
    for (auto& run : runs) {
      random_source random(5);
      auto nodes = testing_support::random_cluster(random, 8, 8);
      const auto by = policy_named(name, 9);
      for (int step = 0; step < 100; ++step) {
        const auto wanted = testing_support::random_demand(random);
        by->arrived(nodes, wanted);
        if (auto placed = plan(nodes, *by, wanted)) {
          must(nodes.reserve(*placed));
          run.push_back(*std::move(placed));
        }
      }
    }
    EXPECT_EQ(runs[0], runs[1]) << name;
    EXPECT_FALSE(runs[0].empty()) << name;
  }
}

}  // namespace
}  // namespace berth::sched
