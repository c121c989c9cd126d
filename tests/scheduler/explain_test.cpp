#include "scheduler/explain.hpp"

#include "tests/scheduler/queue_support.hpp"

#include <gmock/gmock.h>

namespace berth::sched::test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

submission of(demand wanted, std::uint32_t count = 1) {
  return {std::move(wanted), count, hold_state::free};
}

std::unique_ptr<work_queue> five_nodes_of_rack_b() {
  std::vector<node_spec> nodes;
  for (int i = 0; i < 5; ++i)
    nodes.push_back(node_of("b" + std::to_string(i), 8, "H100", "b"));
  nodes.push_back(node_of("a0", 8, "T4", "a"));
  queue_options options;
  options.policy = "pack";
  return queue_on(nodes, options);
}

demand bert(std::string team) {
  auto wanted = gpus_for(std::move(team), 8, "BERT fine-tunings");
  wanted.models = {"H100"};
  wanted.labels = {{"rack", {"b"}, label_wish::sense::among, strength::required}};
  wanted.limit = hours(2);
  return wanted;
}

TEST(explain, says_who_holds_the_devices_and_until_when) {
  auto queue = five_nodes_of_rack_b();
  const instant noon = hours(12) + minutes(5);
  auto first = bert("x");
  first.name = "pretraining";
  (void)queue->submit(noon, of(first, 2)).value();
  (void)queue->advance(noon);
  const auto line = queue->submit(noon, of(bert("y"), 5)).value();
  (void)queue->advance(noon);
  const auto told = explain(*queue, noon, line).value();
  EXPECT_EQ(told.first, hindrance::devices);
  EXPECT_EQ(told.there_milli, 40000);
  EXPECT_EQ(told.free_milli, 0);
  EXPECT_EQ(told.holders.at("x"), 16000);
  EXPECT_EQ(told.fit.nodes_by[static_cast<std::size_t>(obstacle::labels)], 1u);
  EXPECT_EQ(told.fit.nodes_by[static_cast<std::size_t>(obstacle::gpu)], 5u);
  ASSERT_TRUE(told.expected);
  EXPECT_EQ(told.expected->start, noon + hours(2));
  EXPECT_THAT(
      in_words(told),
      StartsWith("2 of 5 \"BERT fine-tunings\" wait: all 40 H100 of rack b are held by team "
                 "x (16) and team y (24) until 14:05."));
  EXPECT_THAT(in_words(told), HasSubstr("1 more node like"));
}

TEST(explain, says_which_quota_is_full) {
  auto queue = queue_on(equal_nodes(1, 8));
  (void)queue->set_team({"x", "", 1, 4000, {}, 0}).value();
  const auto line = queue->submit(instant(0), of(gpus_for("x", 2, "tune"), 3)).value();
  (void)queue->advance(instant(0));
  const auto told = explain(*queue, instant(0), line).value();
  EXPECT_EQ(told.first, hindrance::quota);
  EXPECT_THAT(in_words(told),
              StartsWith("1 of 3 \"tune\" wait: team x holds 4 of the 4 GPUs of its quota."));
  EXPECT_THAT(in_words(told), HasSubstr("It would start now with the end of one \"tune\""));
  EXPECT_THAT(in_words(told), HasSubstr("it waits for work without a time limit"));
}

TEST(explain, counts_cores_and_memory_of_a_quota_as_people_do) {
  auto queue = queue_on(equal_nodes(1, 8));
  team_spec team{"x", "", 1, {}, {}, 0};
  team.cpu_quota_milli = 4000;
  team.memory_quota_mib = 8 * 1024;
  (void)queue->set_team(team).value();
  auto cores = gpus_for("x", 0, "parse");
  cores.each.cpu_milli = 2500;
  const auto line = queue->submit(instant(0), of(cores, 2)).value();
  (void)queue->advance(instant(0));
  EXPECT_THAT(in_words(explain(*queue, instant(0), line).value()),
              StartsWith("1 of 2 \"parse\" wait: team x holds 2.50 of the 4 cores of its quota."));
  cores.each.memory_mib = 9 * 1024;
  EXPECT_THAT(in_words(explain(*queue, instant(0), of(cores))),
              HasSubstr("it asks for 9 GiB of memory, and team x may never hold more than 8 GiB"));
}

TEST(explain, says_when_enough_is_free_but_in_pieces) {
  queue_options options;
  options.policy = "spread";
  options.moving = preemption::never;
  auto queue = queue_on(equal_nodes(2, 4), options);
  (void)queue->submit(instant(0), of(gpus_for("x", 1), 2)).value();
  (void)queue->advance(instant(0));
  const auto line = queue->submit(instant(0), of(gpus_for("x", 4, "whole"))).value();
  (void)queue->advance(instant(0));
  const auto told = explain(*queue, instant(0), line).value();
  EXPECT_EQ(told.first, hindrance::pieces);
  EXPECT_THAT(in_words(told), HasSubstr("6 GPUs are free, but not 4 together"));
  EXPECT_THAT(in_words(told), HasSubstr("lacks 1 GPU"));
  EXPECT_THAT(in_words(told), HasSubstr("the end of one \"work\" of team x"));
}

TEST(explain, says_what_a_free_place_is_kept_for) {
  auto queue = queue_on(equal_nodes(1, 4));
  auto running = gpus_for("x", 3, "running");
  running.limit = hours(1);
  (void)queue->submit(instant(0), of(running)).value();
  (void)queue->submit(instant(0), of(gpus_for("x", 4, "gang"))).value();
  const auto line = queue->submit(instant(0), of(gpus_for("x", 1, "long"))).value();
  (void)queue->advance(instant(0));
  const auto told = explain(*queue, instant(0), line).value();
  EXPECT_EQ(told.first, hindrance::promised);
  EXPECT_THAT(in_words(told), HasSubstr("kept for \"gang\" of team x from 01:00"));
}

TEST(explain, says_why_a_demand_is_refused_and_submits_nothing) {
  auto queue = queue_on(equal_nodes(1, 4));
  const auto told = explain(*queue, instant(0), of(gpus_for("x", 8, "huge")));
  EXPECT_EQ(told.first, hindrance::impossible);
  EXPECT_THAT(in_words(told), StartsWith("\"huge\" is refused: no state of this cluster"));
  EXPECT_THAT(in_words(told), HasSubstr("with too few devices"));
  EXPECT_THAT(in_words(told), HasSubstr("Nearest is n0, which even when empty lacks 4 GPUs."));
  EXPECT_TRUE(queue->lines().empty());
  (void)queue->set_team({"q", "", 1, 2000, {}, 0}).value();
  const auto over = explain(*queue, instant(0), of(gpus_for("q", 3, "wide")));
  EXPECT_EQ(over.first, hindrance::impossible);
  EXPECT_THAT(in_words(over), HasSubstr("team q may never hold more than 2"));
}

TEST(explain, says_how_much_of_a_gang_the_empty_cluster_would_hold) {
  auto queue = queue_on(equal_nodes(2, 4));
  (void)queue->submit(instant(0), of(gpus_for("x", 4))).value();
  (void)queue->advance(instant(0));
  queue->set_condition(instant(0), 1, node_condition::drained);
  auto gang = gpus_for("x", 1, "wide");
  gang.gang = gang_wish{11, 11};
  const auto told = explain(*queue, instant(0), of(gang));
  EXPECT_EQ(told.first, hindrance::impossible);
  EXPECT_EQ(told.ranks_most, 8u) << "the drained node counts, and what runs does not";
  EXPECT_THAT(in_words(told), HasSubstr("of its 11 ranks, 8 fit at most when all is empty"));
}

TEST(explain, says_when_quotas_leave_no_model_or_the_demand_makes_no_sense) {
  auto queue = queue_on({node_of("a", 4, "H100"), node_of("b", 4, "T4")});
  (void)queue->set_team({"x", "", 1, {}, {{"H100", 1000}, {"T4", 1000}}, 0}).value();
  const auto over = explain(*queue, instant(0), of(gpus_for("x", 2, "pair")));
  EXPECT_EQ(over.first, hindrance::impossible);
  EXPECT_THAT(in_words(over), HasSubstr("models of which team x may never hold so many"));
  auto odd = gpus_for("nobody", 2, "odd");
  odd.each.gpu_milli = 500;
  EXPECT_EQ(in_words(explain(*queue, instant(0), of(odd))),
            "refused: \"odd\": a share (500 milli) is of one device, not of 2.");
}

TEST(explain, says_when_others_are_leaving_for_it) {
  auto queue = queue_on(equal_nodes(1, 1));
  auto tune = gpus_for("x", 1, "tune");
  tune.preemptible = preemption::allowed;
  (void)queue->submit(instant(0), of(tune)).value();
  (void)queue->advance(instant(0));
  auto urgent = gpus_for("y", 1, "serve");
  urgent.priority = 1;
  const auto line = queue->submit(minutes(1), of(urgent)).value();
  (void)queue->advance(minutes(1));
  const auto told = explain(*queue, minutes(1), line).value();
  EXPECT_EQ(told.first, hindrance::handover);
  ASSERT_TRUE(told.expected);
  EXPECT_EQ(told.expected->start, minutes(1) + seconds(30));
}

TEST(explain, says_when_it_is_held_or_in_the_way_of_maintenance) {
  auto queue = queue_on(equal_nodes(1, 4));
  const auto held =
      queue->submit(instant(0), {gpus_for("x", 1, "later"), 1, hold_state::held}).value();
  EXPECT_EQ(in_words(explain(*queue, instant(0), held).value()),
            "\"later\" waits: it is held; release it.");
  (void)queue->announce({{0}, hours(1), hours(2), "new cooling"}).value();
  const auto line = queue->submit(instant(0), of(gpus_for("x", 1, "open"))).value();
  (void)queue->advance(instant(0));
  const auto told = explain(*queue, instant(0), line).value();
  EXPECT_EQ(told.first, hindrance::maintenance);
  EXPECT_THAT(in_words(told), HasSubstr("maintenance (new cooling) from 01:00 to 02:00"));
  EXPECT_EQ(explain(*queue, instant(0), 99).error().code, "no_such_line");
}

TEST(explain, prints_the_time_of_day_where_the_reader_is) {
  EXPECT_EQ(clock_time(hours(23) + minutes(59), {minutes(60), true}), "00:59");
  EXPECT_EQ(clock_time(minutes(-1), {}), "23:59");
}

}  // namespace
}  // namespace berth::sched::test
