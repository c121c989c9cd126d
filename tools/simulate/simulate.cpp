#include "tools/simulate/simulate.hpp"

#include "tools/simulate/queue_mode.hpp"
#include "tools/simulate/reports.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <fstream>
#include <iostream>
#include <memory>

namespace berth::tools {
namespace {

constexpr std::size_t seeds_max = 1000;

error_info bad_seeds(std::string_view text) {
  return fail(kind::invalid, "bad_seeds",
              fmt::format("seeds \"{}\": expected numbers and ranges such as 42-44,50; at most {}",
                          text, seeds_max));
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (wrong != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

result<std::ofstream> open_for_writing(const std::filesystem::path& file) {
  std::ofstream out(file, std::ios::binary);
  if (!out)
    return fail(kind::failed, "cannot_write",
                fmt::format("{}: cannot be written; is its folder there?", file.string()));
  return out;
}

result<simulated_run> run_one(const sched::trace& of, simulated_run run, std::ostream& progress) {
  const auto total = of.arrivals.size();
  const auto tell = [&](std::size_t done) {
    progress << fmt::format("{} on {}, seed {}: {} of {} arrivals\n", run.policy, run.workload,
                            run.seed, done, total)
             << std::flush;
  };
  // A word every fifth of the way: a run takes a fraction of a second.
  std::size_t told = 0;
  auto report = sched::replay(of, run.policy, run.seed, [&](std::size_t done) {
    if (done < total && (done - told) * 5 < total) return;
    told = done;
    tell(done);
  });
  if (!report)
    return std::move(report).error().at(
        fmt::format("while replaying {} with {}", run.workload, run.policy));
  run.report = *std::move(report);
  return run;
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> words;
  for (std::size_t start = 0; start <= list.size();) {
    const auto comma = std::min(list.find(',', start), list.size());
    if (comma > start) words.push_back(list.substr(start, comma - start));
    start = comma + 1;
  }
  return words;
}

/// The command line as typed.
struct typed_options {
  std::string trace;
  std::string workloads = "default";
  std::string policies{sched::default_policy};
  std::string seeds = "42";
  std::string form = "table";
  std::string plot;
  std::string placements;
  bool shuffle = false;
  bool queue = false;
  std::string arrivals;
  std::string teams = "x:2,y:1";
  bool no_backfill = false;
};

result<void> run_queue(const typed_options& typed, std::vector<std::uint64_t> seeds) {
  queue_mode_options options;
  if (!typed.trace.empty()) options.trace = typed.trace;
  if (!typed.arrivals.empty()) options.arrivals = typed.arrivals;
  options.policies = split(typed.policies);
  options.seeds = std::move(seeds);
  options.teams = typed.teams;
  options.behind = typed.no_backfill ? sched::backfill::off : sched::backfill::easy;
  options.form = typed.form == "json" ? queue_form::json : queue_form::table;
  return simulate_queue(options, std::cout, std::cerr);
}

result<void> run_typed(const typed_options& typed) {
  auto seeds = parse_seeds(typed.seeds);
  if (!seeds) return std::move(seeds).error();
  if (typed.queue || !typed.arrivals.empty()) return run_queue(typed, *std::move(seeds));
  if (typed.trace.empty())
    return fail(kind::invalid, "no_trace",
                "--trace DIR is missing; only --queue can do without, on made-up nodes");
  simulate_options options;
  options.trace = typed.trace;
  options.workloads = split(typed.workloads);
  options.policies = split(typed.policies);
  options.seeds = *std::move(seeds);
  options.order = typed.shuffle ? arrival_order::shuffled : arrival_order::published;
  options.form = typed.form == "json" ? report_form::json : report_form::table;
  if (!typed.plot.empty()) options.plot = typed.plot;
  if (!typed.placements.empty()) options.placements = typed.placements;
  return simulate(options, std::cout, std::cerr);
}

}  // namespace

result<std::vector<std::uint64_t>> parse_seeds(std::string_view text) {
  std::vector<std::uint64_t> seeds;
  for (std::size_t start = 0; start <= text.size();) {
    const auto comma = std::min(text.find(',', start), text.size());
    const auto part = text.substr(start, comma - start);
    const auto dash = part.find('-');
    const auto first = number(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : number(part.substr(dash + 1));
    if (!first || !last || *last < *first || *last - *first >= seeds_max) return bad_seeds(text);
    for (auto seed = *first;; ++seed) {
      seeds.push_back(seed);
      if (seed == *last) break;
    }
    if (seeds.size() > seeds_max) return bad_seeds(text);
    start = comma + 1;
  }
  return seeds;
}

result<void> simulate(const simulate_options& options, std::ostream& out, std::ostream& progress) {
  for (const auto& name : options.policies)
    if (auto known = sched::make_policy(name); !known) return std::move(known).error();
  std::optional<std::ofstream> placements;
  if (options.placements) {
    auto file = open_for_writing(*options.placements);
    if (!file) return std::move(file).error();
    placements = *std::move(file);
    *placements << placements_header();
  }
  std::vector<simulated_run> runs;
  for (const auto& workload : options.workloads)
    for (const auto& policy : options.policies)
      for (const auto seed : options.seeds) {
        auto loaded = load_trace(options.trace, workload, seed, options.order);
        if (!loaded) return std::move(loaded).error();
        auto run = run_one(loaded->trace, {policy, workload, seed, loaded->order, {}}, progress);
        if (!run) return std::move(run).error();
        if (placements) write_placements(*placements, *run, loaded->trace);
        if (options.form == report_form::json) out << json_line(*run) << '\n' << std::flush;
        runs.push_back(*std::move(run));
      }
  if (options.form == report_form::table) print_table(out, runs);
  if (placements && !placements->flush())
    return fail(kind::failed, "cannot_write",
                fmt::format("{}: could not be written to its end", options.placements->string()));
  if (!options.plot) return {};
  auto file = open_for_writing(*options.plot);
  if (!file) return std::move(file).error();
  *file << svg_plot(runs);
  if (!file->flush())
    return fail(kind::failed, "cannot_write",
                fmt::format("{}: could not be written to its end", options.plot->string()));
  return {};
}

void add_simulate(CLI::App& app) {
  auto typed = std::make_shared<typed_options>();
  auto* command =
      app.add_subcommand("simulate", "Replay a published workload through the scheduler");
  command->add_option("--trace", typed->trace,
                      "Folder with openb_node_list_gpu_node.csv and openb_pod_list_W.csv");
  command->add_option("--workload", typed->workloads, "Workloads W, separated by commas")
      ->capture_default_str();
  command->add_option("--policy", typed->policies, "Policies, separated by commas")
      ->capture_default_str();
  command->add_option("--seeds", typed->seeds, "Seeds of the arrival orders, such as 42-44")
      ->capture_default_str();
  command->add_flag("--shuffle", typed->shuffle,
                    "Shuffle by the seed even where published orders exist");
  command
      ->add_option("-o,--output", typed->form,
                   "table, or json: one line per run on standard output")
      ->check([](const std::string& form) {
        return form == "table" || form == "json" ? std::string{} : "expected table or json";
      })
      ->capture_default_str();
  command->add_option("--plot", typed->plot,
                      "Write allocation and fragmentation over arrivals to an SVG file");
  command->add_flag("--queue", typed->queue,
                    "Queue mode: arrivals with durations, limits, teams and priorities");
  command->add_option("--arrivals", typed->arrivals,
                      "Queue mode: a pod list with arrive_s, run_s, limit_s, team and priority "
                      "added; without it arrivals are made up by the seed");
  command->add_option("--teams", typed->teams, "Queue mode: teams with weights, such as x:2,y:1")
      ->capture_default_str();
  command->add_flag("--no-backfill", typed->no_backfill,
                    "Queue mode: nothing starts behind what waits");
  command->add_option("--placements", typed->placements, "Write every placement to a CSV file");
  command->callback([typed] {
    const auto done = run_typed(*typed);
    if (done) return;
    std::cerr << done.error().to_string() << '\n';
    throw CLI::RuntimeError(exit_code(done.error().kind));
  });
}

}  // namespace berth::tools
