#include "scheduler/queue.hpp"

#include "scheduler/decay.hpp"
#include "scheduler/what_if.hpp"
#include "tests/scheduler/queue_support.hpp"

namespace berth::sched::test {
namespace {

submission of(demand wanted, std::uint32_t count = 1) {
  return {std::move(wanted), count, hold_state::free};
}

demand preemptible(demand wanted) {
  wanted.preemptible = preemption::allowed;
  return wanted;
}

demand limited(demand wanted, milliseconds limit) {
  wanted.limit = limit;
  return wanted;
}

demand with_cores(demand wanted, std::int32_t cpu_milli) {
  wanted.each.cpu_milli = cpu_milli;
  return wanted;
}

queue_options quick() {
  queue_options options;
  options.policy = "pack";
  return options;
}

TEST(decay, halves_with_every_half_life_and_does_not_depend_on_the_steps) {
  EXPECT_NEAR(static_cast<double>(decay(hours(1), hours(1)).apply(1'000'000'000, 0)), 5e8, 2);
  EXPECT_NEAR(static_cast<double>(decay(hours(3), hours(1)).apply(1'000'000'000, 0)), 1.25e8, 2);
  EXPECT_EQ(decay(milliseconds(0), hours(1)).apply(77, 5), 77);
  const auto once = decay(hours(5), hours(2)).apply(123'456'789'000, 8000);
  std::int64_t often = 123'456'789'000;
  for (int i = 0; i < 5 * 3600; ++i)
    often = decay(seconds(1), hours(2)).apply(often, 8000);
  EXPECT_NEAR(static_cast<double>(often), static_cast<double>(once),
              static_cast<double>(once) * 1e-6);
}

TEST(team_tree, refuses_what_makes_no_tree) {
  team_tree teams(hours(1));
  EXPECT_FALSE(teams.set({"a", "nobody", 1, {}, {}, 0}));
  EXPECT_FALSE(teams.set({"a", "", 0, {}, {}, 0}));
  EXPECT_TRUE(teams.set({"a", "", 1, {}, {}, 0}));
  EXPECT_TRUE(teams.set({"b", "a", 1, {}, {}, 0}));
  EXPECT_FALSE(teams.set({"a", "b", 1, {}, {}, 0})) << "a circle";
}

TEST(team_tree, counts_a_child_against_its_parents_quota) {
  team_tree teams(hours(1));
  const auto top = teams.set({"top", "", 1, 4000, {}, 0}).value();
  const auto child = teams.set({"child", "top", 1, {}, {}, 0}).value();
  teams.take(child, {3000, {{0, 3000}}}, preemption::never);
  EXPECT_EQ(teams.held(top), 3000);
  EXPECT_EQ(teams.room(child, {1000, {}}, preemption::never, {}), quota_room::within);
  EXPECT_EQ(teams.room(child, {2000, {}}, preemption::never, {}), quota_room::full);
  EXPECT_EQ(teams.room(child, {5000, {}}, preemption::never, {}), quota_room::never);
}

TEST(team_tree, lets_only_preemptible_work_borrow) {
  team_tree teams(hours(1));
  const auto team = teams.set({"t", "", 1, 2000, {}, 1000}).value();
  teams.take(team, {2000, {}}, preemption::never);
  EXPECT_EQ(teams.room(team, {1000, {}}, preemption::never, {}), quota_room::full);
  EXPECT_EQ(teams.room(team, {1000, {}}, preemption::allowed, {}), quota_room::borrows);
}

TEST(queue, starts_what_fits_and_tells_where) {
  auto queue = queue_on(equal_nodes(1, 2), quick());
  const auto line = queue->submit(instant(0), of(gpus_for("x", 1), 3)).value();
  const auto effects = queue->advance(instant(0));
  EXPECT_EQ(count_effects(effects, act::started), 2u);
  const auto view = *queue->line(line);
  EXPECT_EQ(view.running, 2u);
  EXPECT_EQ(view.waiting, 1u) << "an array is one line";
  ASSERT_TRUE(queue->finished(instant(5), {line, 0}));
  EXPECT_TRUE(find_effect(queue->advance(instant(5)), act::started, {line, 2}));
}

TEST(queue, refuses_at_once_what_can_never_run) {
  auto queue = queue_on(equal_nodes(2, 4), quick());
  EXPECT_EQ(queue->submit(instant(0), of(gpus_for("x", 5))).error().code, "never_fits");
  (void)queue->set_team({"y", "", 1, 2000, {}, 1000}).value();
  EXPECT_EQ(queue->submit(instant(0), of(gpus_for("y", 3))).error().code, "over_quota");
  EXPECT_TRUE(queue->submit(instant(0), of(preemptible(gpus_for("y", 3))))) << "it may borrow";
  queue->set_condition(instant(0), 0, node_condition::drained);
  queue->set_condition(instant(0), 1, node_condition::drained);
  EXPECT_TRUE(queue->submit(instant(0), of(gpus_for("x", 4)))) << "a drained node comes back";
}

TEST(queue, honours_a_quota_per_device_model) {
  auto queue = queue_on({node_of("a", 4, "H100"), node_of("b", 4, "T4")}, quick());
  (void)queue->set_team({"x", "", 1, {}, {{"H100", 2000}}, 0}).value();
  const auto line = queue->submit(instant(0), of(gpus_for("x", 1), 8)).value();
  (void)queue->advance(instant(0));
  std::map<std::string, int> on;
  for (const auto& job : queue->jobs())
    ++on[queue->nodes().name(job.where->ranks[0].node)];
  EXPECT_EQ(on["a"], 2);
  EXPECT_EQ(on["b"], 4);
  EXPECT_EQ(queue->line(line)->waiting, 2u);
}

std::size_t ranks_on(const work_queue& queue, job_id job, std::string_view node) {
  const auto ranks = queue.job(job).value().where->ranks;
  return static_cast<std::size_t>(std::count_if(ranks.begin(), ranks.end(), [&](const slot& rank) {
    return queue.nodes().name(rank.node) == node;
  }));
}

TEST(queue, deals_a_gang_out_over_models_when_no_quota_holds_it_whole) {
  auto queue = queue_on({node_of("a", 4, "H100"), node_of("b", 4, "T4")}, quick());
  (void)queue->set_team({"x", "", 1, {}, {{"H100", 1000}, {"T4", 3000}}, 0}).value();
  auto gang = gpus_for("x", 1);
  gang.gang = gang_wish{4, 4};
  const auto line = queue->submit(instant(0), of(gang)).value();
  (void)queue->advance(instant(0));
  ASSERT_TRUE(queue->job({line, 0}));
  EXPECT_EQ(ranks_on(*queue, {line, 0}, "a"), 1u);
  EXPECT_EQ(ranks_on(*queue, {line, 0}, "b"), 3u);
  gang.gang = gang_wish{5, 5};
  EXPECT_EQ(queue->submit(instant(0), of(gang)).error().code, "over_quota");
}

TEST(queue, grows_a_gang_on_the_models_its_quotas_have_room_for) {
  auto queue = queue_on({node_of("a", 4, "H100"), node_of("b", 4, "T4")}, quick());
  (void)queue->set_team({"x", "", 1, {}, {{"H100", 2000}}, 0}).value();
  auto whole = gpus_for("y", 4);
  whole.models = {"H100"};
  const auto on_a = queue->submit(instant(0), of(whole)).value();
  whole.models = {"T4"};
  const auto on_b = queue->submit(instant(0), of(whole)).value();
  (void)queue->advance(instant(0));
  auto elastic = gpus_for("x", 1);
  elastic.gang = gang_wish{1, 5};
  const auto line = queue->submit(instant(1), of(elastic)).value();
  ASSERT_TRUE(queue->finished(instant(2), {on_a, 0}));
  (void)queue->advance(instant(2));
  EXPECT_EQ(ranks_on(*queue, {line, 0}, "a"), 2u);
  ASSERT_TRUE(queue->finished(instant(3), {on_b, 0}));
  (void)queue->advance(instant(3));
  EXPECT_EQ(ranks_on(*queue, {line, 0}, "a"), 2u);
  EXPECT_EQ(ranks_on(*queue, {line, 0}, "b"), 3u);
}

TEST(queue, evicts_on_devices_of_a_model_its_quota_has_room_for) {
  auto queue = queue_on({node_of("a", 1, "H100"), node_of("b", 1, "T4")}, quick());
  (void)queue->set_team({"x", "", 1, {}, {{"H100", 0}}, 0}).value();
  const auto on_t4 = queue->submit(instant(0), of(preemptible(gpus_for("y", 1)), 2)).value();
  (void)queue->advance(instant(0));
  auto urgent = gpus_for("x", 1);
  urgent.priority = 1;
  const auto line = queue->submit(minutes(1), of(urgent)).value();
  (void)queue->advance(minutes(1));
  (void)queue->advance(minutes(2));
  ASSERT_TRUE(queue->job({line, 0}));
  EXPECT_EQ(queue->nodes().name(queue->job({line, 0})->where->ranks[0].node), "b");
  EXPECT_EQ(queue->line(on_t4)->running, 1u);
}

TEST(queue, honours_quotas_of_processor_and_memory_in_nested_teams) {
  auto queue = queue_on(equal_nodes(2, 4), quick());
  team_spec lab{"lab", "", 1, {}, {}, 0};
  lab.cpu_quota_milli = 10'000;
  team_spec lab_a{"lab/a", "lab", 1, {}, {}, 0};
  lab_a.memory_quota_mib = 8 * 1024;
  lab_a.memory_borrow_mib = 1024;
  (void)queue->set_team(lab).value();
  (void)queue->set_team(lab_a).value();
  auto cores = gpus_for("lab", 0);
  cores.each.cpu_milli = 4000;
  EXPECT_EQ(queue->submit(instant(0), of(with_cores(cores, 11'000))).error().code, "over_quota");
  const auto four = queue->submit(instant(0), of(cores, 3)).value();
  (void)queue->advance(instant(0));
  EXPECT_EQ(queue->line(four)->running, 2u) << "8 of 10 cores";
  auto memory = gpus_for("lab/a", 0);
  memory.each = {100, 3 * 1024, 0, 0, 0};
  const auto firm = queue->submit(instant(0), of(memory, 3)).value();
  const auto borrowing = queue->submit(instant(0), of(preemptible(memory))).value();
  (void)queue->advance(instant(0));
  EXPECT_EQ(queue->line(firm)->running, 2u) << "6 of 8 GiB";
  EXPECT_EQ(queue->line(borrowing)->running, 1u) << "9 GiB, one of them borrowed";
  ASSERT_TRUE(queue->finished(instant(1), {four, 0}));
  (void)queue->advance(instant(1));
  EXPECT_EQ(queue->line(four)->running, 2u) << "the third has the first one's cores";
}

TEST(queue, gives_borrowed_processor_back_to_its_owner) {
  auto queue = queue_on(equal_nodes(1, 0), quick());
  team_spec owner{"owner", "", 1, {}, {}, 0};
  owner.cpu_quota_milli = 64'000;
  auto guest = owner;
  guest.name = "guest";
  guest.cpu_borrow_milli = 64'000;
  (void)queue->set_team(owner).value();
  (void)queue->set_team(guest).value();
  const auto large = with_cores(gpus_for("guest", 0), 32'000);
  const auto borrowed = queue->submit(instant(0), of(preemptible(large), 4)).value();
  (void)queue->advance(instant(0));
  EXPECT_EQ(queue->line(borrowed)->running, 4u);
  const auto own = queue->submit(minutes(1), of(with_cores(gpus_for("owner", 0), 32'000))).value();
  (void)queue->advance(minutes(1));
  (void)queue->advance(minutes(2));
  EXPECT_EQ(queue->line(own)->running, 1u);
  EXPECT_EQ(queue->line(borrowed)->running, 3u) << "no more than is wanted back";
}

TEST(queue, promises_the_first_that_does_not_fit_and_fills_in_behind_it) {
  auto queue = queue_on(equal_nodes(1, 4), quick());
  (void)queue->submit(instant(0), of(limited(gpus_for("x", 3), minutes(10)))).value();
  const auto big = queue->submit(instant(0), of(limited(gpus_for("x", 4), minutes(10)))).value();
  const auto longer = queue->submit(instant(0), of(limited(gpus_for("x", 1), minutes(11)))).value();
  const auto unbounded = queue->submit(instant(0), of(gpus_for("x", 1))).value();
  const auto fitting =
      queue->submit(instant(0), of(limited(gpus_for("x", 1), minutes(10)))).value();
  const auto effects = queue->advance(instant(0));
  ASSERT_TRUE(find_effect(effects, act::promised, {big, 0}));
  EXPECT_EQ(find_effect(effects, act::promised, {big, 0})->until, instant(minutes(10)));
  EXPECT_TRUE(find_effect(effects, act::started, {fitting, 0}));
  EXPECT_FALSE(find_effect(effects, act::started, {longer, 0}));
  EXPECT_FALSE(find_effect(effects, act::started, {unbounded, 0}));
  EXPECT_EQ(queue->wake(), instant(minutes(10)));
  EXPECT_TRUE(find_effect(queue->advance(minutes(10)), act::started, {big, 0}));
}

TEST(queue, keeps_a_promise_while_the_quota_of_its_team_is_handed_over) {
  auto queue = queue_on({node_of("two", 2), node_of("one", 1)}, quick());
  (void)queue->set_team({"lab", "", 1, 3000, {}, 0}).value();
  (void)queue->set_team({"lab/a", "lab", 1, {}, {}, 0}).value();
  const auto leaves =
      queue->submit(instant(0), of(preemptible(limited(gpus_for("lab/a", 2), hours(1))))).value();
  (void)queue->submit(instant(0), of(limited(gpus_for("y", 1), seconds(100)))).value();
  const auto promised =
      queue->submit(instant(0), of(limited(gpus_for("lab", 1), hours(1)))).value();
  (void)queue->advance(instant(0));
  ASSERT_TRUE(queue->promised());
  EXPECT_EQ(queue->promised()->start, seconds(100));
  auto urgent = limited(gpus_for("lab", 2), hours(1));
  urgent.priority = 1;
  const auto comes = queue->submit(seconds(90), of(urgent)).value();
  EXPECT_TRUE(find_effect(queue->advance(seconds(90)), act::leave, {leaves, 0}));
  EXPECT_TRUE(find_effect(queue->advance(seconds(100)), act::started, {promised, 0}))
      << "two of three GPUs are held, by who leaves or by who comes";
  EXPECT_TRUE(find_effect(queue->advance(seconds(120)), act::started, {comes, 0}));
  EXPECT_EQ(queue->counters().promises_kept, 1u);
  EXPECT_EQ(queue->counters().promises_late, 0u);
}

TEST(queue, evicts_for_more_urgent_work_with_notice_and_counts_the_loss) {
  auto queue = queue_on(equal_nodes(1, 2), quick());
  const auto tune = queue->submit(instant(0), of(preemptible(gpus_for("x", 1, "tune")), 2)).value();
  (void)queue->advance(instant(0));
  auto urgent = gpus_for("y", 1, "serve");
  urgent.priority = 1;
  const auto serve = queue->submit(minutes(1), of(urgent)).value();
  const auto told = queue->advance(minutes(1));
  ASSERT_EQ(count_effects(told, act::leave), 1u);
  EXPECT_EQ(told[0].until, instant(minutes(1) + seconds(30)));
  EXPECT_EQ(told[0].by, (job_id{serve, 0}));
  const auto then = queue->advance(minutes(1) + seconds(30));
  const auto gone = std::find_if(then.begin(), then.end(),
                                 [](const effect& one) { return one.what == act::evicted; });
  ASSERT_NE(gone, then.end());
  EXPECT_EQ(gone->lost, 90 * gpu_time_per_gpu_second) << "one device for a minute and a half";
  EXPECT_TRUE(find_effect(then, act::started, {serve, 0}));
  EXPECT_EQ(queue->line(tune)->waiting, 1u);
  const auto& teams = queue->teams();
  EXPECT_EQ(queue->counters().lost_for.at({*teams.find("x"), *teams.find("y")}), gone->lost);
}

TEST(queue, evicts_what_has_least_to_lose_and_never_within_its_minimum_run_time) {
  auto queue = queue_on(equal_nodes(1, 3), quick());
  auto young = preemptible(gpus_for("x", 1));
  young.run_min = hours(1);
  const auto old = queue->submit(instant(0), of(preemptible(gpus_for("x", 1)))).value();
  (void)queue->advance(instant(0));
  const auto middle = queue->submit(minutes(5), of(preemptible(gpus_for("x", 1)))).value();
  const auto sheltered = queue->submit(minutes(9), of(young)).value();
  (void)queue->advance(minutes(9));
  auto urgent = gpus_for("y", 1);
  urgent.priority = 1;
  (void)queue->submit(minutes(10), of(urgent)).value();
  const auto effects = queue->advance(minutes(10));
  EXPECT_FALSE(find_effect(effects, act::leave, {old, 0}));
  EXPECT_FALSE(find_effect(effects, act::leave, {sheltered, 0}));
  EXPECT_TRUE(find_effect(effects, act::leave, {middle, 0}));
}

TEST(queue, tells_the_evicted_to_stay_when_the_urgent_work_is_cancelled) {
  auto queue = queue_on(equal_nodes(1, 1), quick());
  const auto tune = queue->submit(instant(0), of(preemptible(gpus_for("x", 1)))).value();
  (void)queue->advance(instant(0));
  auto urgent = gpus_for("y", 1);
  urgent.priority = 1;
  const auto serve = queue->submit(minutes(1), of(urgent)).value();
  ASSERT_TRUE(find_effect(queue->advance(minutes(1)), act::leave, {tune, 0}));
  ASSERT_TRUE(queue->cancel(minutes(1), serve));
  EXPECT_TRUE(find_effect(queue->advance(minutes(1)), act::stay, {tune, 0}));
  EXPECT_EQ(queue->advance(minutes(3)).size(), 0u);
  EXPECT_EQ(queue->line(tune)->running, 1u);
}

TEST(queue, gives_borrowed_quota_back_to_its_owner) {
  auto queue = queue_on(equal_nodes(1, 4), quick());
  (void)queue->set_team({"owner", "", 1, 2000, {}, 0}).value();
  (void)queue->set_team({"guest", "", 1, 2000, {}, 2000}).value();
  const auto guest = queue->submit(instant(0), of(preemptible(gpus_for("guest", 1)), 4)).value();
  (void)queue->advance(instant(0));
  EXPECT_EQ(queue->line(guest)->running, 4u);
  const auto owner = queue->submit(minutes(1), of(gpus_for("owner", 1), 2)).value();
  (void)queue->advance(minutes(1));
  (void)queue->advance(minutes(2));
  EXPECT_EQ(queue->line(owner)->running, 2u);
  EXPECT_EQ(queue->line(guest)->running, 2u);
}

TEST(queue, holds_releases_and_reprioritises) {
  auto queue = queue_on(equal_nodes(1, 1), quick());
  const auto first = queue->submit(instant(0), {gpus_for("x", 1), 1, hold_state::held}).value();
  const auto second = queue->submit(instant(0), of(gpus_for("x", 1))).value();
  EXPECT_TRUE(find_effect(queue->advance(instant(0)), act::started, {second, 0}));
  const auto third = queue->submit(instant(1), of(gpus_for("x", 1))).value();
  ASSERT_TRUE(queue->release(first));
  ASSERT_TRUE(queue->reprioritise(third, 5));
  ASSERT_TRUE(queue->finished(instant(2), {second, 0}));
  EXPECT_TRUE(find_effect(queue->advance(instant(2)), act::started, {third, 0}));
  EXPECT_EQ(queue->hold(99).error().code, "no_such_line");
}

TEST(queue, starts_nothing_that_may_run_into_a_maintenance_window) {
  auto queue = queue_on(equal_nodes(1, 2), quick());
  (void)queue->announce({{0}, minutes(30), minutes(60), "new cooling"}).value();
  const auto late = queue->submit(instant(0), of(limited(gpus_for("x", 1), minutes(31)))).value();
  const auto open = queue->submit(instant(0), of(gpus_for("x", 1))).value();
  const auto soon = queue->submit(instant(0), of(limited(gpus_for("x", 1), minutes(30)))).value();
  const auto effects = queue->advance(instant(0));
  EXPECT_TRUE(find_effect(effects, act::started, {soon, 0}));
  EXPECT_FALSE(find_effect(effects, act::started, {late, 0}));
  EXPECT_FALSE(find_effect(effects, act::started, {open, 0}));
  (void)queue->advance(minutes(30));
  const auto after = queue->advance(minutes(60));
  EXPECT_TRUE(find_effect(after, act::started, {late, 0}));
  EXPECT_TRUE(find_effect(after, act::started, {open, 0}));
}

TEST(queue, sets_a_sick_device_aside_while_its_neighbours_serve) {
  auto queue = queue_on(equal_nodes(1, 2), quick());
  queue->set_healthy(0, 0, false);
  const auto line = queue->submit(instant(0), of(gpus_for("x", 1), 2)).value();
  const auto effects = queue->advance(instant(0));
  ASSERT_EQ(count_effects(effects, act::started), 1u);
  EXPECT_EQ(effects[0].where->ranks[0].devices, 2u);
  queue->set_healthy(0, 0, true);
  EXPECT_TRUE(find_effect(queue->advance(instant(1)), act::started, {line, 1}));
}

TEST(queue, does_not_ask_who_stands_on_a_failed_device_to_leave) {
  auto queue = queue_on(equal_nodes(1, 4), quick());
  const auto on_failed = queue->submit(instant(0), of(preemptible(gpus_for("x", 2)))).value();
  (void)queue->advance(instant(0));
  const auto healthy = queue->submit(minutes(1), of(preemptible(gpus_for("x", 2)))).value();
  (void)queue->advance(minutes(1));
  queue->set_healthy(0, 1, false);
  auto urgent = gpus_for("x", 2);
  urgent.priority = 1;
  const auto line = queue->submit(minutes(2), of(urgent)).value();
  (void)queue->advance(minutes(2));
  (void)queue->advance(minutes(3));
  EXPECT_EQ(queue->line(line)->running, 1u);
  EXPECT_EQ(queue->line(on_failed)->running, 1u) << "its going would have made no room";
  EXPECT_EQ(queue->line(healthy)->running, 0u);
}

TEST(queue, waits_again_when_its_node_is_gone) {
  auto queue = queue_on(equal_nodes(2, 1), quick());
  const auto line = queue->submit(instant(0), of(gpus_for("x", 1))).value();
  (void)queue->advance(instant(0));
  const auto node = queue->job({line, 0})->where->ranks.at(0).node;
  queue->set_condition(instant(5), node, node_condition::gone);
  const auto effects = queue->advance(instant(5));
  EXPECT_TRUE(find_effect(effects, act::lost, {line, 0}));
  ASSERT_TRUE(find_effect(effects, act::started, {line, 0}));
  EXPECT_NE(queue->job({line, 0})->where->ranks.at(0).node, node);
}

TEST(queue, replaces_the_replicas_a_lost_node_took) {
  auto queue = queue_on(equal_nodes(3, 1), quick());
  auto service = gpus_for("x", 1);
  service.replicas = 2;
  service.spread = spread_wish{"node", 1, strength::required};
  const auto line = queue->submit(instant(0), of(service)).value();
  (void)queue->advance(instant(0));
  ASSERT_EQ(queue->job({line, 0})->where->ranks.size(), 2u);
  queue->set_condition(minutes(1), queue->job({line, 0})->where->ranks[0].node,
                       node_condition::gone);
  const auto effects = queue->advance(minutes(1));
  const auto reduced = find_effect(effects, act::reduced, {line, 0});
  ASSERT_TRUE(reduced);
  EXPECT_EQ(reduced->where->ranks.size(), 1u);
  EXPECT_TRUE(find_effect(effects, act::grown, {line, 0})) << "the third node has room";
  EXPECT_EQ(queue->job({line, 0})->where->ranks.size(), 2u);
  EXPECT_EQ(queue->teams().held(*queue->teams().find("x")), 2000);
  ASSERT_TRUE(queue->finished(minutes(2), {line, 0}));
  EXPECT_EQ(queue->nodes().claims(), 0u);
}

TEST(queue, starts_an_elastic_gang_small_and_lets_it_grow) {
  auto queue = queue_on(equal_nodes(2, 2), quick());
  const auto other = queue->submit(instant(0), of(gpus_for("x", 1), 2)).value();
  (void)queue->advance(instant(0));
  auto elastic = gpus_for("y", 1);
  elastic.gang = gang_wish{2, 4};
  const auto gang = queue->submit(instant(1), of(elastic)).value();
  const auto started = find_effect(queue->advance(instant(1)), act::started, {gang, 0});
  ASSERT_TRUE(started);
  EXPECT_EQ(started->where->ranks.size(), 2u);
  ASSERT_TRUE(queue->finished(instant(2), {other, 0}));
  const auto grown = find_effect(queue->advance(instant(2)), act::grown, {gang, 0});
  ASSERT_TRUE(grown);
  EXPECT_EQ(grown->where->ranks.size(), 1u);
  EXPECT_EQ(queue->job({gang, 0})->where->ranks.size(), 3u);
}

TEST(queue, moves_preemptible_work_together_only_when_a_gang_then_starts) {
  auto options = quick();
  options.policy = "spread";
  auto queue = queue_on(equal_nodes(2, 2), options);
  const auto small = queue->submit(instant(0), of(preemptible(gpus_for("x", 1)), 2)).value();
  (void)queue->advance(instant(0));
  ASSERT_NE(queue->job({small, 0})->where->ranks[0].node,
            queue->job({small, 1})->where->ranks[0].node);
  auto whole = gpus_for("x", 2, "pair");
  const auto pair = queue->submit(minutes(1), of(whole)).value();
  ASSERT_EQ(count_effects(queue->advance(minutes(1)), act::leave), 1u);
  const auto effects = queue->advance(minutes(2));
  EXPECT_EQ(count_effects(effects, act::moved), 1u);
  EXPECT_TRUE(find_effect(effects, act::started, {pair, 0}));
  EXPECT_EQ(queue->line(small)->running, 2u);
}

TEST(queue, makes_who_waits_long_as_urgent_as_the_most_urgent) {
  auto options = quick();
  options.ageing = minutes(10);
  auto queue = queue_on(equal_nodes(1, 1), options);
  auto urgent = gpus_for("x", 1);
  urgent.priority = 2;
  const auto first = queue->submit(instant(0), of(urgent)).value();
  (void)queue->advance(instant(0));
  const auto patient = queue->submit(instant(1), of(gpus_for("x", 1))).value();
  (void)queue->advance(instant(1));
  (void)queue->submit(minutes(25), of(urgent)).value();
  ASSERT_TRUE(queue->finished(minutes(26), {first, 0}));
  EXPECT_TRUE(find_effect(queue->advance(minutes(26)), act::started, {patient, 0}));
}

TEST(what_if, tells_that_two_more_nodes_would_help_and_changes_nothing) {
  auto queue = queue_on(equal_nodes(1, 8), quick());
  (void)queue->submit(instant(0), of(gpus_for("x", 8))).value();
  (void)queue->advance(instant(0));
  const auto line = queue->submit(instant(1), of(gpus_for("x", 8), 2)).value();
  EXPECT_EQ(queue->advance(instant(1)).size(), 0u);
  change more;
  more.nodes = {node_of("more-1", 8), node_of("more-2", 8)};
  const auto told = what_if(*queue, instant(1), more).value();
  EXPECT_TRUE(find_effect(told.effects, act::started, {line, 0}));
  EXPECT_TRUE(find_effect(told.effects, act::started, {line, 1}));
  EXPECT_EQ(queue->nodes().size(), 1u);
  EXPECT_EQ(queue->advance(instant(1)).size(), 0u);
}

}  // namespace
}  // namespace berth::sched::test
