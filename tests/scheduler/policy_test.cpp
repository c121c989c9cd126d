#include "scheduler/policy.hpp"

#include "scheduler/feasible.hpp"
#include "scheduler/workload.hpp"
#include "tests/scheduler/clusters.hpp"

#include <gtest/gtest.h>
#include <malloc.h>

namespace berth::sched {
namespace {

using testing_support::must;

constexpr std::size_t mib = 1u << 20;

std::unique_ptr<policy> policy_named(std::string_view name, const policy_options& options = {}) {
  return std::move(make_policy(name, options).value());
}

inventory equal_nodes(std::size_t count, std::size_t devices) {
  inventory nodes;
  for (std::size_t i = 0; i < count; ++i) {
    node_spec spec;
    spec.name = "n" + std::to_string(i);
    spec.cpu_milli = 64'000;
    spec.memory_mib = 1 << 18;
    spec.topology = base::uniform_topology(devices, "H100", 80'000, 0, 2);
    must(nodes.add(spec));
  }
  return nodes;
}

demand devices_of(std::uint16_t gpus, std::uint16_t milli = 1000) {
  demand wanted;
  wanted.each = {1000, 1024, gpus, milli, 0};
  return wanted;
}

/// The `number`-th of demands that all differ, some of them gangs, some restricted to models, some with labels.
demand one_of_many(std::uint32_t number) {
  auto wanted = devices_of(static_cast<std::uint16_t>(1 + number % 4));
  wanted.each.cpu_milli = static_cast<std::int32_t>(1 + number % 1009);
  wanted.each.memory_mib = static_cast<std::int32_t>(1 + number / 1009);
  if (number % 5 == 0) wanted.models = {"H100", "model " + std::to_string(number)};
  if (number % 7 == 0)
    wanted.labels.push_back({"disk",
                             {"of a kind that no node has " + std::to_string(number)},
                             label_wish::sense::not_among,
                             strength::required});
  return wanted;
}

std::size_t heap_bytes() {
  return mallinfo2().uordblks;
}

class every_policy : public testing::TestWithParam<std::string_view> {};

TEST_P(every_policy, remembers_within_its_bound_however_many_shapes_come) {
  auto nodes = equal_nodes(4, 8);
  policy_options options;
  options.memo_bytes_max = 2 * mib;
  // Beside the scores: the memo of states (3 MiB), the shapes learned (1 MiB) and what is computed from them.
  constexpr std::size_t bound = 8 * mib;
  const auto before = heap_bytes();
  const auto by = policy_named(GetParam(), options);
  for (std::uint32_t number = 0; number < 40'000; ++number) {
    const auto wanted = one_of_many(number);
    by->arrived(nodes, wanted);
    ASSERT_TRUE(by->choose(nodes, wanted, nullptr));
    if (number % 1000 == 999) {
      ASSERT_LE(by->memo_bytes(), bound) << "after " << number;
      ASSERT_LE(heap_bytes(), before + bound) << "after " << number;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(policies,
                         every_policy,
                         testing::ValuesIn(policy_names()),
                         [](const auto& of) { return std::string(of.param); });

TEST(workload, forgets_rare_shapes_first) {
  workload seen;
  const auto usual = devices_of(1, 500);
  std::uint32_t usual_count = 0;
  for (std::uint32_t number = 0; number < 30'000; ++number) {
    seen.arrived(one_of_many(number).each, {});
    if (number % 3 == 0) {
      seen.arrived(usual.each, {});
      ++usual_count;
    }
    ASSERT_LE(seen.shapes(), workload::shapes_max);
  }
  const auto first = seen.frequent(1);
  ASSERT_FALSE(first.empty());
  EXPECT_EQ(first.front().each.gpu_milli, 500);
  EXPECT_EQ(first.front().count, usual_count);
  EXPECT_EQ(seen.arrivals(), 30'000u + usual_count);
}

/// Allocated milli per device, exactly: a/b < c/d without division.
bool emptier(const inventory& nodes, node_id one, node_id two) {
  const auto allocated = [&](node_id node) {
    std::int64_t sum = 0;
    for (const auto left : nodes.milli(node))
      sum += 1000 - left;
    return sum;
  };
  const auto devices = [&](node_id node) {
    return std::max<std::int64_t>(nodes.row(node).devices, 1);
  };
  return allocated(one) * devices(two) < allocated(two) * devices(one);
}

TEST(spread, takes_the_emptiest_node_by_brute_force) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    random_source random(seed);
    auto nodes = testing_support::random_cluster(random, 24, 16);
    const auto by = policy_named("spread");
    std::vector<claim> held;
    for (int step = 0; step < 120; ++step) {
      if (!held.empty() && random.below(3) == 0) {
        const auto at = random.below(static_cast<std::uint32_t>(held.size()));
        must(nodes.release(held[at]));
        held.erase(held.begin() + at);
      }
      demand wanted;
      wanted.each = testing_support::random_demand(random).each;
      node_mask allowed(nodes.size() + score_mask_padding, 0);
      for (node_id node = 0; node < nodes.size(); ++node)
        allowed[node] = random.below(6) == 0 ? 0 : 0xFF;
      std::optional<node_id> best;
      for (node_id node = 0; node < nodes.size(); ++node)
        if (allowed[node] != 0 && feasible(nodes, compile(nodes, wanted), node)
            && (!best || emptier(nodes, node, *best)))
          best = node;
      const auto chosen = by->choose(nodes, wanted, &allowed);
      ASSERT_EQ(chosen.has_value(), best.has_value()) << "seed " << seed;
      if (!chosen) continue;
      ASSERT_EQ(chosen->node, *best) << "seed " << seed << ", step " << step;
      held.push_back(nodes.reserve({wanted.each, {*chosen}, proximity::device, 0}).value());
    }
  }
}

/// How often each node is chosen in `draws` decisions that are not carried out.
std::vector<std::uint32_t> chosen_by_random(const inventory& nodes,
                                            const demand& wanted,
                                            std::uint32_t draws) {
  policy_options options;
  options.seed = 11;
  const auto by = policy_named("random", options);
  std::vector<std::uint32_t> times(nodes.size());
  for (std::uint32_t draw = 0; draw < draws; ++draw)
    ++times[by->choose(nodes, wanted, nullptr)->node];
  return times;
}

TEST(random, is_as_likely_to_take_any_node_that_fits) {
  constexpr std::uint32_t draws = 6000;
  for (const std::size_t count : {8u, 3000u}) {
    auto nodes = equal_nodes(count, 1);
    // Six nodes are left open: most of a small cluster, too few of a large one to be met by drawing.
    for (node_id node = 0; node < nodes.size(); ++node)
      if (node % (count / 8) != 0 || node / (count / 8) >= 6)
        must(nodes.reserve({{0, 0, 1, 1000, 0}, {{node, 1}}, proximity::device, 0}));
    const auto times = chosen_by_random(nodes, devices_of(1), draws);
    std::uint32_t nodes_met = 0;
    for (const auto some : times) {
      if (some == 0) continue;
      ++nodes_met;
      EXPECT_NEAR(some, draws / 6, 150) << count << " nodes";  // five standard deviations
    }
    EXPECT_EQ(nodes_met, 6u) << count << " nodes";
  }
}

}  // namespace
}  // namespace berth::sched
