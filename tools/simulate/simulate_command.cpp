#include "tools/simulate/simulate_command.hpp"

#include "tools/simulate/queue_mode.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Validators.hpp>
#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <utility>

namespace berth::tools {
namespace {

/// Three hundred years: milliseconds are counted in 64 bits.
constexpr std::int64_t until_s_max = 10'000'000'000;

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> words;
  for (std::size_t start = 0; start <= list.size();) {
    const auto comma = std::min(list.find(',', start), list.size());
    if (comma > start) words.push_back(list.substr(start, comma - start));
    start = comma + 1;
  }
  return words;
}

result<void> run_queue(const simulate_words& words,
                       std::vector<std::uint64_t> seeds,
                       report_form form,
                       std::ostream& out,
                       std::ostream& progress,
                       std::function<bool()> stopped) {
  if (!words.plot.empty() || !words.placements.empty() || words.shuffle)
    return fail(kind::invalid, "bad_words",
                "--plot, --placements and --shuffle are of a replay; leave them out in queue mode");
  queue_mode_options options;
  if (!words.trace.empty()) options.trace = words.trace;
  if (!words.arrivals.empty()) options.arrivals = words.arrivals;
  if (words.until_s > 0) options.until = std::chrono::seconds(words.until_s);
  options.policies = split(words.policies);
  options.seeds = std::move(seeds);
  options.teams = words.teams;
  options.behind = words.no_backfill ? sched::backfill::off : sched::backfill::easy;
  options.form = form;
  options.stopped = std::move(stopped);
  return simulate_queue(options, out, progress);
}

}  // namespace

std::vector<std::string> simulate_examples() {
  return {
      "berth simulate --trace tests/data/openb --policy fill,fgd --seeds 42-44",
      "berth simulate --trace tests/data/openb --workload default,cpu100 -o json --plot curves.svg",
      "berth simulate --queue --teams vision:2,speech:1 --seeds 1-3",
      "berth simulate --arrivals week.csv --policy pack --no-backfill --until 86400"};
}

void add_simulate_options(CLI::App& command, simulate_words& into) {
  command.add_option("--trace", into.trace,
                     "Folder with openb_node_list_gpu_node.csv and openb_pod_list_W.csv");
  command.add_option("--workload", into.workloads, "Workloads W, separated by commas")
      ->capture_default_str();
  command
      .add_option(
          "--policy", into.policies,
          fmt::format("Policies, separated by commas: {}", fmt::join(sched::policy_names(), ", ")))
      ->capture_default_str();
  command.add_option("--seeds", into.seeds, "Seeds of the arrival orders, such as 42-44")
      ->capture_default_str();
  command.add_flag("--shuffle", into.shuffle,
                   "Shuffle by the seed even where published orders exist");
  command.add_option("--plot", into.plot,
                     "Write allocation and fragmentation over arrivals to an SVG file");
  command.add_option("--placements", into.placements, "Write every placement to a CSV file");
  command.add_flag("--queue", into.queue,
                   "Queue mode: arrivals with durations, limits, teams and priorities");
  command.add_option("--arrivals", into.arrivals,
                     "Queue mode: a pod list with arrive_s, run_s, limit_s, team and priority "
                     "added; without it arrivals are made up by the seed");
  command.add_option("--teams", into.teams, "Queue mode: teams with weights, such as x:2,y:1")
      ->capture_default_str();
  command
      .add_option("--until", into.until_s,
                  "Queue mode: the second at which the clock stops; without it all work is done")
      ->check(CLI::Range(std::int64_t{1}, until_s_max))
      ->option_text("SECONDS");
  command.add_flag("--no-backfill", into.no_backfill,
                   "Queue mode: nothing starts behind what waits");
}

result<void> run_simulate(const simulate_words& words,
                          report_form form,
                          std::ostream& out,
                          std::ostream& progress,
                          std::function<bool()> stopped) {
  auto seeds = parse_seeds(words.seeds);
  if (!seeds) return std::move(seeds).error();
  if (split(words.policies).empty())
    return fail(kind::invalid, "bad_words",
                fmt::format("--policy names none; expected some of {}",
                            fmt::join(sched::policy_names(), ", ")));
  if (split(words.workloads).empty())
    return fail(kind::invalid, "bad_words",
                "--workload names none; W stands for the file openb_pod_list_W.csv");
  if (words.queue || !words.arrivals.empty())
    return run_queue(words, *std::move(seeds), form, out, progress, std::move(stopped));
  if (words.until_s > 0 || words.no_backfill)
    return fail(kind::invalid, "bad_words",
                "--until and --no-backfill are of the queue mode; add --queue or --arrivals FILE");
  if (words.trace.empty())
    return fail(kind::invalid, "no_trace",
                "--trace DIR is missing; only --queue can do without, on made-up nodes");
  simulate_options options;
  options.trace = words.trace;
  options.workloads = split(words.workloads);
  options.policies = split(words.policies);
  options.seeds = *std::move(seeds);
  options.order = words.shuffle ? arrival_order::shuffled : arrival_order::published;
  options.form = form;
  if (!words.plot.empty()) options.plot = words.plot;
  if (!words.placements.empty()) options.placements = words.placements;
  options.stopped = std::move(stopped);
  return simulate(options, out, progress);
}

}  // namespace berth::tools
