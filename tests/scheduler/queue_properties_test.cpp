// Random clusters, teams and work; everything the queue promises is recounted from outside after each event.
#include "tests/scheduler/queue_support.hpp"

#include <fmt/format.h>

namespace berth::sched::test {
namespace {

struct world {
  queue_trace trace;
  queue_options options;
};

team_spec random_team(random_source& random, std::string name, std::string parent) {
  team_spec team;
  team.name = std::move(name);
  team.parent = std::move(parent);
  team.weight = 1 + random.below(3);
  if (random.below(3) == 0) {
    team.quota_milli = 4000 + 1000 * random.below(8);
    team.borrow_milli = 1000 * random.below(6);
  }
  if (random.below(4) == 0) team.model_quotas["T4"] = 2000 + 1000 * random.below(4);
  if (random.below(4) == 0) team.model_quotas["H100"] = 1000 + 1000 * random.below(8);
  if (random.below(4) == 0) {
    team.cpu_quota_milli = 8000 + 1000 * random.below(20);
    team.cpu_borrow_milli = 1000 * random.below(10);
  }
  if (random.below(4) == 0) {
    team.memory_quota_mib = 60'000 + 1000 * random.below(60);
    team.memory_borrow_mib = 1000 * random.below(60);
  }
  return team;
}

demand random_demand(random_source& random, const std::vector<team_spec>& teams) {
  demand wanted;
  wanted.team = teams[random.below(static_cast<std::uint32_t>(teams.size()))].name;
  const auto sort = random.below(10);
  wanted.each.cpu_milli = static_cast<std::int32_t>(500 + random.below(4000));
  wanted.each.memory_mib = static_cast<std::int32_t>(random.below(30000));
  if (sort > 0) {
    wanted.each.gpus = sort < 4 ? 1 : static_cast<std::uint16_t>(1 + random.below(4));
    wanted.each.gpu_milli =
        sort < 3 ? static_cast<std::uint16_t>(100 + 50 * random.below(15)) : 1000;
    if (wanted.each.gpu_milli < 1000) wanted.each.gpus = 1;
    if (random.below(3) == 0) wanted.each.device_memory_mib = 1000 * random.below(40);
    if (random.below(4) == 0) wanted.models = {random.below(2) == 0 ? "T4" : "H100"};
  }
  if (random.below(6) == 0) {
    const auto ranks = 1 + random.below(3);
    wanted.gang = gang_wish{ranks, ranks + random.below(3)};
  }
  if (random.below(5) == 0) {
    constexpr std::array levels{proximity::rack, proximity::node, proximity::numa};
    wanted.affinity =
        affinity_wish{levels[random.below(levels.size())],
                      random.below(2) == 0 ? strength::required : strength::preferred};
  }
  wanted.priority = static_cast<std::int32_t>(random.below(3));
  if (random.below(2) == 0) wanted.preemptible = preemption::allowed;
  wanted.run_min = minutes(random.below(3));
  return wanted;
}

world random_world(std::uint64_t seed) {
  random_source random(seed);
  world made;
  const auto nodes = 1 + random.below(6);
  for (std::uint32_t i = 0; i < nodes; ++i)
    made.trace.nodes.push_back(node_of(fmt::format("n{}", i), 1 + random.below(8),
                                       random.below(3) == 0 ? "T4" : "H100",
                                       fmt::format("r{}", i / 2), 8 + random.below(40)));
  made.trace.teams.push_back(random_team(random, "x", ""));
  made.trace.teams.push_back(random_team(random, "y", ""));
  made.trace.teams.push_back(random_team(random, "x/a", "x"));
  made.trace.teams.push_back(random_team(random, "x/b", "x"));
  const auto lines = 10 + random.below(50);
  std::int64_t at = 0;
  for (std::uint32_t i = 0; i < lines; ++i) {
    queue_arrival one;
    at += random.below(400) * 1000;
    one.at = instant(at);
    one.work.wanted = random_demand(random, made.trace.teams);
    one.work.wanted.name = fmt::format("w{}", i);
    one.work.count = random.below(5) == 0 ? 1 + random.below(4) : 1;
    one.run = seconds(60 + random.below(2400));
    one.work.wanted.limit = one.run * (90 + random.below(100)) / 100;
    made.trace.arrivals.push_back(std::move(one));
  }
  constexpr std::array policies{"fill", "fgd", "bestfit", "pack", "spread"};
  made.options.policy = policies[random.below(policies.size())];
  made.options.grace = seconds(random.below(3) * 15);
  made.options.half_life = minutes(10 + random.below(600));
  return made;
}

bool has_sick_devices(const inventory& nodes) {
  for (node_id node = 0; node < nodes.size(); ++node)
    for (std::uint32_t device = 0; device < nodes.row(node).devices; ++device)
      if (!nodes.healthy(node, device)) return true;
  return false;
}

void announce_windows(random_source& random, work_queue& queue) {
  const auto count = static_cast<std::uint32_t>(queue.nodes().size());
  for (auto some = random.below(3); some > 0; --some) {
    const instant from = minutes(random.below(200));
    (void)queue
        .announce({{random.below(count)}, from, from + minutes(5 + random.below(60)), "work"})
        .value();
  }
}

/// Now and then a device fails or comes back, or somebody has second thoughts about a line. (What runs is not cancelled:
/// the simulation would end it all the same.)
void meddle(random_source& random, work_queue& queue) {
  const node_id node = random.below(static_cast<std::uint32_t>(queue.nodes().size()));
  const auto device = random.below(queue.nodes().row(node).devices);
  const auto what = random.below(60);
  if (what == 0) queue.set_healthy(node, device, false);
  if (what < 3) queue.set_healthy(node, random.below(queue.nodes().row(node).devices), true);
  const auto lines = queue.lines();
  if (lines.empty()) return;
  const auto& one = lines[random.below(static_cast<std::uint32_t>(lines.size()))];
  if (what == 3 && one.running + one.leaving_for == 0)
    (void)queue.cancel(queue.now(), one.id).value();
  if (what == 4) (void)queue.hold(one.id).value();
  if (what == 5) (void)queue.release(one.id).value();
  if (what == 6)
    (void)queue.reprioritise(one.id, static_cast<std::int32_t>(random.below(4))).value();
}

TEST(queue_properties, hold_after_every_event_of_random_worlds) {
  const auto first = seed_of_run();
  for (std::uint64_t seed = first; seed < first + worlds_of_run(40); ++seed) {
    auto world = random_world(seed);
    // Work without a limit and work that is held come in here; the bound on waiting has a test of its own.
    random_source random(seed ^ 0x5EED);
    for (auto& one : world.trace.arrivals) {
      if (random.below(6) == 0) one.work.wanted.limit.reset();
      if (random.below(15) == 0) one.work.hold = hold_state::held;
    }
    const auto context = fmt::format("BERTH_SEED={}", seed);
    auto simulation = queue_simulation::make(world.trace, world.options).value();
    watcher watch(context);
    simulation->on_effect([&](const effect& one) { watch.hear(simulation->queue(), one); });
    announce_windows(random, simulation->queue());
    for (int events = 0; simulation->step(); ++events) {
      watch.look(simulation->queue());
      if (simulation->queue().now() < world.trace.arrivals.back().at)
        meddle(random, simulation->queue());
      ASSERT_LT(events, 20000) << context << ": the simulation does not end";
      if (::testing::Test::HasFailure()) return;
    }
    for (const auto& line : simulation->queue().lines())
      EXPECT_TRUE(line.hold == hold_state::held || has_sick_devices(simulation->queue().nodes()))
          << context << ": line " << line.id << " never ran";
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(queue_properties, waiting_is_bounded_where_every_demand_has_a_limit) {
  const auto first = seed_of_run();
  for (std::uint64_t seed = first; seed < first + worlds_of_run(60); ++seed) {
    const auto world = random_world(seed);
    const auto context = fmt::format("BERTH_SEED={}", seed);
    auto simulation = queue_simulation::make(world.trace, world.options).value();
    milliseconds limit_max{0};
    for (const auto& one : world.trace.arrivals)
      limit_max = std::max(limit_max, *one.work.wanted.limit);
    // For each job: when it arrived, and whom it saw run or start before itself.
    std::map<job_id, std::pair<instant, std::set<job_id>>> waiting;
    std::set<job_id> running;
    simulation->on_effect([&](const effect& one) {
      if (one.what != act::started) {
        if (one.what == act::evicted || one.what == act::overran || one.what == act::moved)
          running.erase(one.job);
        return;
      }
      running.insert(one.job);
      if (const auto found = waiting.find(one.job); found != waiting.end()) {
        const auto& [arrived, seen] = found->second;
        const auto bound =
            static_cast<std::int64_t>(seen.size() + 1) * limit_max + world.options.grace;
        EXPECT_LE(one.at - arrived, bound)
            << context << ": job " << one.job.line << " saw " << seen.size();
        waiting.erase(found);
      }
      for (auto& [job, state] : waiting)
        state.second.insert(one.job);
    });
    std::size_t arrived = 0;
    line_id known = 0;
    while (simulation->step()) {
      std::set<job_id> now_running;
      for (const auto& job : simulation->queue().jobs())
        now_running.insert(job.id);
      running = now_running;
      for (const auto& line : simulation->queue().lines()) {
        if (line.id <= known) continue;
        for (std::uint32_t index = line.count - line.waiting; index < line.count; ++index)
          waiting[{line.id, index}] = {line.arrived, running};
        known = line.id;
      }
      ++arrived;
    }
    EXPECT_EQ(simulation->queue().counters().promises_late, 0u) << context;
    EXPECT_TRUE(waiting.empty()) << context << ": " << waiting.size() << " jobs never started";
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(queue_properties, replicas_spread_over_two_nodes_survive_the_loss_of_either) {
  const auto first = seed_of_run();
  std::size_t pairs = 0;
  for (std::uint64_t seed = first; seed < first + worlds_of_run(100); ++seed) {
    const auto world = random_world(seed);
    const auto context = fmt::format("BERTH_SEED={}", seed);
    auto simulation = queue_simulation::make(world.trace, world.options).value();
    simulation->run(world.trace.arrivals[world.trace.arrivals.size() / 2].at);
    const auto queue = simulation->queue().clone();
    auto service = gpus_for("service", 1, "service");
    service.each.gpu_milli = 200;
    service.replicas = 2;
    service.spread = spread_wish{"node", 1, strength::required};
    const auto line = queue->submit(queue->now(), {service, 1, hold_state::free});
    if (!line) continue;
    (void)queue->advance(queue->now());
    const auto job = queue->job({*line, 0});
    if (!job || job->where->ranks.size() < 2) continue;
    ++pairs;
    const auto place = *job->where;
    ASSERT_NE(place.ranks[0].node, place.ranks[1].node) << context;
    for (const std::size_t lost : {0u, 1u}) {
      const auto after = queue->clone();
      after->set_condition(after->now(), place.ranks[lost].node, node_condition::gone);
      (void)after->advance(after->now());
      const auto left = after->job({*line, 0});
      ASSERT_TRUE(left.has_value()) << context;
      EXPECT_EQ(left->where->ranks[0], place.ranks[1 - lost]) << context;
      watcher(context).look(*after);
    }
  }
  EXPECT_GT(pairs, 0u) << "BERTH_SEED=" << first;
}

TEST(queue_properties, the_same_trace_gives_the_same_effects) {
  const auto seed = seed_of_run();
  const auto world = random_world(seed);
  std::vector<effect> first;
  std::vector<effect> second;
  for (auto* heard : {&first, &second}) {
    auto simulation = queue_simulation::make(world.trace, world.options).value();
    simulation->on_effect([&](const effect& one) { heard->push_back(one); });
    simulation->run();
  }
  EXPECT_EQ(first, second) << "BERTH_SEED=" << seed;
}

}  // namespace
}  // namespace berth::sched::test
