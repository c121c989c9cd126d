// Gangs on real machines: the descriptions of tests/data/topology/text, as gpu/topology_reader found them.

#include "runtime/base/topology_text.hpp"
#include "scheduler/inventory.hpp"
#include "scheduler/placement.hpp"
#include "scheduler/policy.hpp"
#include "tests/scheduler/clusters.hpp"

#include <bit>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace berth::sched {
namespace {

using testing_support::must;

base::topology machine(const std::string& name) {
  std::ifstream in(BERTH_TEST_DATA "/topology/text/" + name + ".txt");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return base::topology_from_text(text).value();
}

inventory one_node(const base::topology& of) {
  node_spec spec;
  spec.name = "machine";
  spec.cpu_milli = 96'000;
  spec.memory_mib = 1 << 18;
  spec.topology = of;
  inventory nodes;
  must(nodes.add(spec));
  return nodes;
}

demand ranks_of(std::uint32_t ranks, std::uint16_t gpus) {
  demand wanted;
  wanted.name = "gang";
  wanted.each = {1000, 0, gpus, 1000, 0};
  wanted.gang = gang_wish{ranks, ranks};
  return wanted;
}

std::uint64_t devices_of(const placement& placed) {
  std::uint64_t devices = 0;
  for (const auto& rank : placed.ranks)
    devices |= rank.devices;
  return devices;
}

result<placement> planned(inventory& nodes, const demand& wanted) {
  return plan(nodes, *make_policy("fill").value(), wanted);
}

struct reach {
  const char* machine;
  std::uint32_t ranks;
  proximity within;
  std::uint32_t mb_per_s;  ///< of the slowest pair
};

TEST(machines, gangs_reach_the_nearest_level_there_is) {
  for (const auto& one : std::vector<reach>{
           {"hwloc-nvidiaDGX2.v2", 16, proximity::island, 150'000},
           {"fake-hgx-h100", 8, proximity::island, 478'116},
           {"fake-hgx-h100-112c", 5, proximity::island, 478'116},
           {"hwloc-power8gpudistances.v2", 2, proximity::island, 40'000},
           {"hwloc-power8gpudistances.v2", 4, proximity::node, 0},
           {"hwloc-mpibind-lassen-4xV100", 2, proximity::pcie_switch, 0},
           {"hwloc-mpibind-lassen-4xV100", 3, proximity::node, 0},
           {"hwloc-mpibind-g4dnmetal-8xT4", 4, proximity::numa, 0},
           {"hwloc-mpibind-g4dnmetal-8xT4", 5, proximity::node, 0},
           {"hwloc-mpibind-corona-8xMI", 8, proximity::node, 0},
       }) {
    SCOPED_TRACE(std::string(one.machine) + " " + std::to_string(one.ranks));
    auto nodes = one_node(machine(one.machine));
    const auto placed = planned(nodes, ranks_of(one.ranks, 1));
    ASSERT_TRUE(placed) << placed.error().to_string();
    EXPECT_EQ(placed->within, one.within);
    EXPECT_EQ(placed->mb_per_s_min, one.mb_per_s);
  }
  auto nodes = one_node(machine("fake-nogpu"));
  EXPECT_EQ(planned(nodes, ranks_of(1, 1)).error().code, "never_fits");
}

TEST(machines, one_replica_stays_on_one_island_or_numa_domain_when_it_can) {
  for (const auto& [name, taken, expected] :
       {std::tuple("hwloc-power8gpudistances.v2", 0b0001U, 0b1100U),
        std::tuple("hwloc-mpibind-lassen-4xV100", 0b0010U, 0b1100U),
        std::tuple("hwloc-mpibind-g4dnmetal-8xT4", 0b0000'0111U, 0b0011'0000U)}) {
    SCOPED_TRACE(name);
    auto nodes = one_node(machine(name));
    must(nodes.reserve({{0, 0, static_cast<std::uint16_t>(std::popcount(taken)), 1000, 0},
                        {{0, taken}},
                        proximity::device,
                        0}));
    auto two = ranks_of(1, 2);
    two.gang.reset();
    EXPECT_EQ(devices_of(planned(nodes, two).value()), expected);
  }
}

/// How near two devices are: the level, then the bandwidth of their link.
using pair_nearness = std::pair<proximity, std::uint32_t>;

std::vector<std::vector<pair_nearness>> all_pairs(const base::topology& of) {
  std::vector<std::vector<pair_nearness>> pairs(of.devices.size());
  for (std::size_t a = 0; a < of.devices.size(); ++a)
    for (std::size_t b = 0; b < of.devices.size(); ++b)
      pairs[a].emplace_back(of.between(a, b), of.bandwidth(a, b));
  return pairs;
}

/// Of the farthest pair of a set.
pair_nearness farthest(const std::vector<std::vector<pair_nearness>>& pairs, std::uint64_t set) {
  pair_nearness least{proximity::device, ~std::uint32_t{0}};
  for (std::size_t a = 0; a < pairs.size(); ++a)
    for (std::size_t b = a + 1; b < pairs.size(); ++b)
      if ((set >> a & set >> b & 1) != 0) least = std::min(least, pairs[a][b]);
  return least;
}

TEST(machines, no_set_of_free_devices_is_nearer_than_the_one_taken) {
  for (const char* name : {"hwloc-nvidiaDGX2.v2", "fake-hgx-h100", "hwloc-power8gpudistances.v2",
                           "hwloc-mpibind-lassen-4xV100", "hwloc-mpibind-g4dnmetal-8xT4",
                           "hwloc-mpibind-corona-8xMI", "fake-4gpu-1socket"}) {
    const auto of = machine(name);
    const auto pairs = all_pairs(of);
    const auto count = static_cast<std::uint32_t>(of.devices.size());
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
      SCOPED_TRACE(std::string(name) + " seed " + std::to_string(seed));
      random_source random(seed);
      auto nodes = one_node(of);
      const auto all = (std::uint64_t{1} << count) - 1;
      const auto taken = random.next() & random.next() & all;
      if (taken != 0)
        must(nodes.reserve({{0, 0, static_cast<std::uint16_t>(std::popcount(taken)), 1000, 0},
                            {{0, taken}},
                            proximity::device,
                            0}));
      const auto free = all & ~taken;
      const auto wanted = 2 + random.below(count - 1);
      const auto placed = planned(nodes, ranks_of(wanted, 1));
      ASSERT_EQ(placed.has_value(), static_cast<std::uint32_t>(std::popcount(free)) >= wanted);
      if (!placed) continue;
      const auto chosen = devices_of(*placed);
      EXPECT_EQ(chosen & taken, 0U);
      auto nearest = farthest(pairs, chosen);
      for (auto set = free; set != 0; set = (set - 1) & free)
        if (static_cast<std::uint32_t>(std::popcount(set)) == wanted)
          nearest = std::max(nearest, farthest(pairs, set));
      EXPECT_EQ(farthest(pairs, chosen), nearest);
    }
  }
}

}  // namespace
}  // namespace berth::sched
