// The parts that make `fill` and the other policies fast answer what the slow way answers, and `fill` looks only back.

#include "scheduler/argmax.hpp"
#include "scheduler/futures.hpp"
#include "scheduler/replay.hpp"
#include "scheduler/workload.hpp"
#include "tests/scheduler/clusters.hpp"
#include "tools/simulate/trace_files.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>

namespace berth::sched {
namespace {

using testing_support::must;

const std::string data = BERTH_TEST_DATA "/openb";

trace default_trace(std::uint64_t seed) {
  auto loaded = tools::load_trace(data, "default", seed, tools::arrival_order::published);
  return std::move(loaded.value().trace);
}

TEST(argmax, answers_what_the_scalar_loop_answers) {
  random_source random(3);
  for (int round = 0; round < 2000; ++round) {
    const std::size_t count = 1 + random.below(3000);
    std::vector<std::uint8_t> scores((count + score_row_align - 1) / score_row_align
                                     * score_row_align);
    std::vector<std::uint8_t> allowed(scores.size());
    const auto values = 1 + random.below(256);
    for (std::size_t i = 0; i < count; ++i)
      scores[i] = static_cast<std::uint8_t>(random.below(values));
    for (auto& each : allowed)
      each = random.below(3) == 0 ? 0 : 0xFF;
    for (const auto* mask : {static_cast<const std::uint8_t*>(nullptr),
                             static_cast<const std::uint8_t*>(allowed.data())}) {
      const auto fast = first_largest(scores.data(), mask, count);
      const auto slow = first_largest_scalar(scores.data(), mask, count);
      ASSERT_EQ(fast.value, slow.value) << round;
      ASSERT_TRUE(slow.value == 0 || fast.index == slow.index) << round;
    }
  }
}

/// One scenario lane poured by a plain loop.
std::int32_t poured(const std::vector<expected_demand>& sequence,
                    std::int32_t cpu,
                    std::vector<int> devices) {
  for (const auto& one : sequence) {
    if (one.each.cpu_milli > cpu) continue;
    int best = -1;
    for (std::size_t i = 0; i < devices.size(); ++i)
      if (devices[i] >= one.each.gpu_milli
          && (best < 0 || devices[i] < devices[static_cast<std::size_t>(best)]))
        best = static_cast<int>(i);
    if (best < 0) continue;
    devices[static_cast<std::size_t>(best)] -= one.each.gpu_milli;
    cpu -= one.each.cpu_milli;
  }
  std::int32_t left = 0;
  for (const auto milli : devices)
    left += milli;
  return left;
}

TEST(futures, one_shape_is_poured_as_by_hand) {
  inventory nodes;
  node_spec spec;
  spec.name = "a";
  spec.cpu_milli = 128'000;
  spec.topology = base::uniform_topology(8, "T4", 0, 0);
  must(nodes.add(spec));
  random_source random(4);
  for (int round = 0; round < 300; ++round) {
    const expected_demand shape{{static_cast<std::int32_t>(500 * random.below(20)), 0, 1,
                                 static_cast<std::uint16_t>(10 * (1 + random.below(100))), 0},
                                {},
                                1};
    const futures made(nodes, std::vector{shape}, 500, 7);
    std::vector<std::uint16_t> devices(random.below(9));
    std::vector<int> plain;
    for (auto& each : devices)
      plain.push_back(each = static_cast<std::uint16_t>(10 * random.below(101)));
    const auto cpu = static_cast<std::int32_t>(random.below(256));
    const std::vector<expected_demand> sequence(futures::length, shape);
    EXPECT_EQ(made.left_over(0, cpu, devices),
              static_cast<std::int32_t>(futures::lanes) * poured(sequence, cpu * 500, plain));
  }
}

TEST(futures, the_wide_and_the_plain_pouring_agree) {
  const auto of = default_trace(42);
  inventory nodes;
  for (const auto& spec : of.nodes)
    must(nodes.add(spec));
  workload seen;
  for (const auto& pod : of.pods)
    seen.arrived(pod.each, pod.models);
  const futures made(nodes, seen.frequent(100), 500, 11);
  random_source random(6);
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::uint16_t> devices(random.below(17));
    for (auto& each : devices)
      each = static_cast<std::uint16_t>(random.below(3) == 0 ? 1000 : random.below(1001));
    const auto cpu = static_cast<std::int32_t>(random.below(300));
    const auto model =
        static_cast<std::uint8_t>(random.below(static_cast<std::uint32_t>(nodes.models().size())));
    ASSERT_EQ(made.left_over(model, cpu, devices), made.left_over_baseline(model, cpu, devices));
  }
}

TEST(fill, what_comes_later_does_not_change_what_was_placed_before) {
  auto of = default_trace(42);
  of.arrivals.resize(6000);
  const auto whole = replay(of, "fill", 1).value();
  constexpr std::size_t kept = 3000;
  random_source random(8);
  for (std::size_t i = kept; i < of.arrivals.size(); ++i)
    of.arrivals[i] = random.below(static_cast<std::uint32_t>(of.pods.size()));
  for (std::size_t pod = 0; pod < of.pods.size(); ++pod)
    if (std::find(of.arrivals.begin(), of.arrivals.begin() + kept, pod)
        == of.arrivals.begin() + kept)
      of.pods[pod].each.cpu_milli *= 2;
  const auto changed = replay(of, "fill", 1).value();
  for (std::size_t i = 0; i < kept; ++i)
    ASSERT_EQ(whole.events[i].placed, changed.events[i].placed) << "event " << i;
}

TEST(fill, does_not_hang_on_the_scale_of_processors_or_the_names_of_models) {
  auto of = default_trace(43);
  const auto plain = replay(of, "fill", 1).value().allocation_by_column();
  for (auto& spec : of.nodes) {
    spec.cpu_milli *= 2;
    for (auto& device : spec.topology.devices)
      device.model = "model " + std::to_string(std::hash<std::string>{}(device.model));
  }
  for (auto& pod : of.pods) {
    pod.each.cpu_milli *= 2;
    for (auto& model : pod.models)
      model = "model " + std::to_string(std::hash<std::string>{}(model));
  }
  const auto scaled = replay(of, "fill", 1).value().allocation_by_column();
  for (const int column : {100, 130})
    EXPECT_NEAR(scaled.at(column), plain.at(column), 0.2);
}

TEST(fill, leaves_processor_for_work_without_devices_where_all_other_work_is_shares) {
  double gained = 0;
  double failed_more_pct = 0;
  for (const std::uint64_t seed : {42, 43, 44}) {
    auto of = default_trace(seed);
    std::erase_if(
        of.pods, [](const demand& pod) { return pod.each.gpus > 0 && pod.each.gpu_milli == 1000; });
    std::int64_t capacity = 0;
    for (const auto& node : of.nodes)
      capacity += 1000 * static_cast<std::int64_t>(node.topology.devices.size());
    // As many shares to one without devices as there is other work to one in the published list.
    const auto shares = of.pods;
    for (const auto& pod : shares)
      if (pod.each.gpus > 0) of.pods.push_back(pod);
    of.arrivals = shuffled_arrivals(of.pods, capacity, seed);
    const auto fill = replay(of, "fill", 1).value();
    const auto fgd = replay(of, "fgd", 1).value();
    gained += (fill.allocation_by_column().at(130) - fgd.allocation_by_column().at(130)) / 3;
    failed_more_pct += 100.0 * (static_cast<double>(fill.failed.at("cpu")) - fgd.failed.at("cpu"))
                       / (3.0 * fill.cpu_only_arrivals);
  }
  EXPECT_GE(gained, -0.05);
  EXPECT_LE(failed_more_pct, 3.5);
}

class fill_on : public testing::TestWithParam<std::string> {};

TEST_P(fill_on, places_at_least_what_fgd_places) {
  std::map<int, double> fill_sum;
  std::map<int, double> fgd_sum;
  std::uint32_t failed_cpu = 0;
  std::uint32_t cpu_only = 0;
  for (const std::uint64_t seed : {42, 43, 44}) {
    const auto loaded = tools::load_trace(data, GetParam(), seed, tools::arrival_order::published);
    const auto fill = replay(loaded.value().trace, "fill", 1).value();
    const auto fgd = replay(loaded.value().trace, "fgd", 1).value();
    for (const int column : {100, 130}) {
      fill_sum[column] += fill.allocation_by_column().at(column) / 3;
      fgd_sum[column] += fgd.allocation_by_column().at(column) / 3;
    }
    failed_cpu += fill.failed.at("cpu");
    cpu_only += fill.cpu_only_arrivals;
    EXPECT_TRUE(GetParam() != "default" || fill.first_gpu_failure_pct.value_or(200) >= 95.5)
        << "seed " << seed;
  }
  for (const int column : {100, 130})
    EXPECT_GE(fill_sum[column], fgd_sum[column] - 0.05) << column;
  if (GetParam() == "default") {
    EXPECT_GE(fill_sum[100], 96.0);
    EXPECT_GE(fill_sum[130], 96.1);
  }
  const auto share = GetParam() == "gpushare80" ? 0.06 : 0.0;
  EXPECT_LE(failed_cpu, share * cpu_only);
}

INSTANTIATE_TEST_SUITE_P(
    workloads,
    fill_on,
    testing::Values("default", "cpu100", "gpushare40", "gpushare80", "gpuspec10", "multigpu20"));

}  // namespace
}  // namespace berth::sched
