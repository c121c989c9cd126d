#include "tools/simulate/queue_mode.hpp"

#include "tools/simulate/json_text.hpp"
#include "tools/simulate/row_reader.hpp"
#include "tools/simulate/trace_files.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <numeric>
#include <ostream>

namespace berth::tools {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr std::int64_t seconds_max = 10LL * 365 * 24 * 3600;

sched::queue_arrival read_arrival(row_reader& read, std::size_t row) {
  sched::queue_arrival one;
  auto& wanted = one.work.wanted;
  wanted = read.pod(row);
  read.expect(!wanted.name.empty(), row, "name", "a name");
  one.at = read.seconds(row, "arrive_s", 0, seconds_max);
  one.run = read.seconds(row, "run_s", 0, seconds_max);
  read.expect(one.run.count() > 0, row, "run_s", "more than no time");
  if (!read.text(row, "limit_s").empty()) {
    wanted.limit = read.seconds(row, "limit_s", 0, seconds_max);
    read.expect(wanted.limit->count() > 0, row, "limit_s", "more than no time, or nothing");
  }
  wanted.team = std::string(read.text(row, "team"));
  read.expect(!wanted.team.empty(), row, "team", "a team's name");
  wanted.priority = static_cast<std::int32_t>(read.integer(row, "priority", -1'000'000, 1'000'000));
  if (read.has("preemptible") && read.integer(row, "preemptible", 0, 1) == 1)
    wanted.preemptible = sched::preemption::allowed;
  return one;
}

std::vector<sched::node_spec> usual_nodes() {
  std::vector<sched::node_spec> nodes;
  for (int i = 0; i < 8; ++i) {
    sched::node_spec node;
    node.name = fmt::format("node-{}", i);
    node.cpu_milli = 128'000;
    node.memory_mib = 1 << 20;
    node.topology = base::uniform_topology(8, "H100", 81'920, 478'116, 2);
    nodes.push_back(std::move(node));
  }
  return nodes;
}

result<sched::queue_trace> trace_for(const queue_mode_options& options, std::uint64_t seed) {
  sched::queue_trace trace;
  auto teams = parse_teams(options.teams);
  if (!teams) return std::move(teams).error();
  trace.nodes = usual_nodes();
  if (options.trace) {
    auto nodes = read_nodes(*options.trace);
    if (!nodes) return std::move(nodes).error();
    trace.nodes = *std::move(nodes);
  }
  if (options.arrivals) {
    auto arrivals = read_arrivals(*options.arrivals);
    if (!arrivals) return std::move(arrivals).error();
    trace.arrivals = *std::move(arrivals);
    trace.teams = *std::move(teams);
    return trace;
  }
  sched::queue_trace_shape shape;
  shape.nodes = std::move(trace.nodes);
  shape.teams = *std::move(teams);
  shape.preemptible_pct = 50;
  shape.priority_max = 1;
  shape.limit_pct_max = 150;
  shape.gang_pct = 5;
  return make_queue_trace(shape, seed);
}

double in_seconds(milliseconds time) {
  return static_cast<double>(time.count()) / 1000.0;
}

double in_gpu_seconds(sched::gpu_time time) {
  return static_cast<double>(time) / static_cast<double>(sched::gpu_time_per_gpu_second);
}

struct queue_run {
  std::string policy;
  std::optional<std::uint64_t> seed;
  sched::queue_report report;
  std::vector<std::string> team_names;  ///< by team id
};

/// The wait that `percent` per cent of the started jobs did not exceed.
milliseconds wait_at(const std::vector<milliseconds>& waits, std::size_t percent) {
  if (waits.empty()) return milliseconds(0);
  return waits[std::min(waits.size() - 1, waits.size() * percent / 100)];
}

std::string json_line(const queue_run& run) {
  const auto& report = run.report;
  const auto waits = report.waits();
  std::string text = fmt::format(
      R"({{"mode":"queue","policy":{},"seed":{},"jobs":{},"started":{},"finished":{},"overran":{},"refused":{},)"
      R"("end_s":{:.3f},"utilisation_pct":{:.3f},)"
      R"("wait_s":{{"mean":{:.3f},"p50":{:.3f},"p90":{:.3f},"max":{:.3f}}},"teams":{{)",
      json_text(run.policy), run.seed ? std::to_string(*run.seed) : "null", report.jobs.size(),
      waits.size(), report.counters.finished, report.counters.overran, report.refused.size(),
      in_seconds(report.end), report.utilisation_pct(), report.wait_mean_ms() / 1000.0,
      in_seconds(wait_at(waits, 50)), in_seconds(wait_at(waits, 90)),
      in_seconds(wait_at(waits, 100)));
  const char* separator = "";
  for (const auto& [name, team] : report.teams) {
    const auto share = report.consumed == 0 ? 0.0
                                            : 100.0 * static_cast<double>(team.consumed)
                                                  / static_cast<double>(report.consumed);
    const auto mean = team.jobs_started == 0
                          ? 0.0
                          : in_seconds(team.wait_total) / static_cast<double>(team.jobs_started);
    text += fmt::format(
        R"({}{}:{{"weight":{},"gpu_seconds":{:.3f},"share_pct":{:.3f},"started":{},"wait_mean_s":{:.3f},"wait_max_s":{:.3f}}})",
        separator, json_text(name), team.weight, in_gpu_seconds(team.consumed), share,
        team.jobs_started, mean, in_seconds(team.wait_max));
    separator = ",";
  }
  text += fmt::format(R"(}},"evicted":{},"moved":{},"lost_gpu_seconds":{:.3f},"lost_for":[)",
                      report.counters.evicted, report.counters.moved,
                      in_gpu_seconds(report.counters.lost_time));
  separator = "";
  for (const auto& [pair, lost] : report.counters.lost_for) {
    text += fmt::format(R"({}{{"team":{},"for":{},"gpu_seconds":{:.3f}}})", separator,
                        json_text(run.team_names[pair.first]),
                        json_text(run.team_names[pair.second]), in_gpu_seconds(lost));
    separator = ",";
  }
  text += fmt::format(R"(],"promises":{{"kept":{},"late":{},"displaced":{}}}}})",
                      report.counters.promises_kept, report.counters.promises_late,
                      report.counters.promises_displaced);
  return text;
}

void print_run(std::ostream& out, const queue_run& run) {
  const auto& report = run.report;
  const auto waits = report.waits();
  out << fmt::format("{}{}: {} of {} jobs started, {} refused; {:.1f} h, utilisation {:.1f} %\n",
                     run.policy, run.seed ? fmt::format(", seed {}", *run.seed) : "", waits.size(),
                     report.jobs.size(), report.refused.size(), in_seconds(report.end) / 3600.0,
                     report.utilisation_pct());
  out << fmt::format("  wait min    mean {:8.1f}  p50 {:8.1f}  p90 {:8.1f}  max {:8.1f}\n",
                     report.wait_mean_ms() / 60'000.0, in_seconds(wait_at(waits, 50)) / 60.0,
                     in_seconds(wait_at(waits, 90)) / 60.0, in_seconds(wait_at(waits, 100)) / 60.0);
  for (const auto& [name, team] : report.teams)
    out << fmt::format(
        "  team {:<12} weight {:<4} share {:5.1f} %  {:10.1f} GPU-hours  {:6} jobs\n", name,
        team.weight,
        report.consumed == 0
            ? 0.0
            : 100.0 * static_cast<double>(team.consumed) / static_cast<double>(report.consumed),
        in_gpu_seconds(team.consumed) / 3600.0, team.jobs_started);
  out << fmt::format("  evicted {}, moved {}, {:.2f} GPU-hours lost", report.counters.evicted,
                     report.counters.moved, in_gpu_seconds(report.counters.lost_time) / 3600.0);
  for (const auto& [pair, lost] : report.counters.lost_for)
    out << fmt::format("; {} for {}: {:.2f}", run.team_names[pair.first],
                       run.team_names[pair.second], in_gpu_seconds(lost) / 3600.0);
  out << fmt::format("\n  promised starts: {} kept, {} late, {} displaced by more urgent work\n",
                     report.counters.promises_kept, report.counters.promises_late,
                     report.counters.promises_displaced);
}

result<queue_run> run_one(const sched::queue_trace& trace,
                          const queue_mode_options& options,
                          const std::string& policy,
                          std::optional<std::uint64_t> seed,
                          std::ostream& progress) {
  sched::queue_options with;
  with.policy = policy;
  with.policy_with.seed = seed.value_or(0);
  with.behind = options.behind;
  auto simulation = sched::queue_simulation::make(trace, with);
  if (!simulation) return std::move(simulation).error();
  std::size_t steps = 0;
  constexpr std::size_t steps_between_words = 1000;
  while ((*simulation)->step(options.until)) {
    if (options.stopped && options.stopped()) return stopped_error();
    if (++steps % steps_between_words == 0)
      progress << fmt::format("{}: {:.1f} h simulated\n", policy,
                              in_seconds((*simulation)->queue().now()) / 3600.0)
               << std::flush;
  }
  (*simulation)->run(options.until);
  queue_run run{policy, seed, (*simulation)->report(), {}};
  const auto& teams = (*simulation)->queue().teams();
  for (sched::team_id team = 0; team < teams.size(); ++team)
    run.team_names.push_back(teams.spec(team).name);
  return run;
}

}  // namespace

result<std::vector<sched::team_spec>> parse_teams(std::string_view text) {
  std::vector<sched::team_spec> teams;
  const auto bad = [&] {
    return fail(
        kind::invalid, "bad_teams",
        fmt::format("teams \"{}\": expected names with weights from 1 to {}, such as x:2,y:1", text,
                    sched::team_weight_max));
  };
  for (auto rest = text; !rest.empty();) {
    const auto comma = std::min(rest.find(','), rest.size());
    const auto part = rest.substr(0, comma);
    const auto colon = part.rfind(':');
    if (colon == std::string_view::npos || colon == 0) return bad();
    sched::team_spec team;
    team.name = std::string(part.substr(0, colon));
    const auto weight = part.substr(colon + 1);
    const auto [end, wrong] =
        std::from_chars(weight.data(), weight.data() + weight.size(), team.weight);
    if (wrong != std::errc{} || end != weight.data() + weight.size() || team.weight == 0
        || team.weight > sched::team_weight_max)
      return bad();
    teams.push_back(std::move(team));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  if (teams.empty()) return bad();
  return teams;
}

result<std::vector<sched::queue_arrival>> read_arrivals(const fs::path& file) {
  auto table = csv_table::read(file);
  if (!table) return std::move(table).error();
  row_reader read(*table);
  std::vector<sched::queue_arrival> arrivals;
  for (std::size_t row = 0; row < table->size() && !read.why(); ++row)
    arrivals.push_back(read_arrival(read, row));
  if (read.why()) return *read.why();
  std::stable_sort(arrivals.begin(), arrivals.end(),
                   [](const auto& one, const auto& two) { return one.at < two.at; });
  return arrivals;
}

result<void> simulate_queue(const queue_mode_options& options,
                            std::ostream& out,
                            std::ostream& progress) {
  for (const auto& name : options.policies)
    if (auto known = sched::make_policy(name); !known) return std::move(known).error();
  std::vector<std::optional<std::uint64_t>> seeds{std::nullopt};
  if (!options.arrivals) seeds.assign(options.seeds.begin(), options.seeds.end());
  for (const auto& policy : options.policies)
    for (const auto& seed : seeds) {
      const auto trace = trace_for(options, seed.value_or(0));
      if (!trace) return trace.error();
      const auto run = run_one(*trace, options, policy, seed, progress);
      if (!run) return run.error();
      if (options.form == report_form::json)
        out << json_line(*run) << '\n' << std::flush;
      else
        print_run(out, *run);
    }
  return {};
}

}  // namespace berth::tools
