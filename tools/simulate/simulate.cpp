#include "tools/simulate/simulate.hpp"

#include "tools/simulate/reports.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <fstream>

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

result<void> closed(std::ofstream& file, const std::filesystem::path& name) {
  if (file.flush()) return {};
  return fail(kind::failed, "cannot_write",
              fmt::format("{}: could not be written to its end", name.string()));
}

result<simulated_run> run_one(const sched::trace& of,
                              simulated_run run,
                              const std::function<bool()>& stopped,
                              std::ostream& progress) {
  const auto total = of.arrivals.size();
  const auto tell = [&](std::size_t done) {
    progress << fmt::format("{} on {}, seed {}: {} of {} arrivals\n", run.policy, run.workload,
                            run.seed, done, total)
             << std::flush;
  };
  // A word every fifth of the way: a run takes a fraction of a second.
  std::size_t told = 0;
  auto report = sched::replay(of, run.policy, run.seed, [&](std::size_t done) {
    if (done == total || (done - told) * 5 >= total) {
      told = done;
      tell(done);
    }
    return !stopped || !stopped();
  });
  if (!report)
    return std::move(report).error().at(
        fmt::format("while replaying {} with {}", run.workload, run.policy));
  run.report = *std::move(report);
  return run;
}

/// Removes a file that was not written to its end, unless it is a device or a pipe.
void remove_unfinished(const std::optional<std::filesystem::path>& file) {
  std::error_code ignored;
  if (file && std::filesystem::is_regular_file(std::filesystem::symlink_status(*file, ignored)))
    std::filesystem::remove(*file, ignored);
}

/// Tells before the work rather than after it.
result<void> check_folder_of(const std::filesystem::path& file) {
  const auto folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  std::error_code ignored;
  if (std::filesystem::is_directory(folder, ignored)) return {};
  return fail(
      kind::missing, "no_folder",
      fmt::format("{}: there is no folder {}; make it first", file.string(), folder.string()));
}

result<void> write_plot(const std::filesystem::path& to, const std::vector<simulated_run>& runs) {
  auto file = open_for_writing(to);
  if (!file) return std::move(file).error();
  *file << svg_plot(runs);
  return closed(*file, to);
}

/// Every (workload, policy, seed) in turn.
result<std::vector<simulated_run>> run_all(const simulate_options& options,
                                           std::ofstream* placements,
                                           std::ostream& out,
                                           std::ostream& progress) {
  std::vector<simulated_run> runs;
  for (const auto& workload : options.workloads)
    for (const auto& policy : options.policies)
      for (const auto seed : options.seeds) {
        auto loaded = load_trace(options.trace, workload, seed, options.order);
        if (!loaded) return std::move(loaded).error();
        auto run = run_one(loaded->trace, {policy, workload, seed, loaded->order, {}},
                           options.stopped, progress);
        if (!run) return std::move(run).error();
        if (placements != nullptr) write_placements(*placements, *run, loaded->trace);
        if (options.form == report_form::json) out << json_line(*run) << '\n' << std::flush;
        runs.push_back(*std::move(run));
      }
  return runs;
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

error_info stopped_error() {
  return fail(kind::cancelled, "stopped", "stopped before the end of the simulation");
}

result<void> simulate(const simulate_options& options, std::ostream& out, std::ostream& progress) {
  for (const auto& name : options.policies)
    if (auto known = sched::make_policy(name); !known) return std::move(known).error();
  if (options.plot)
    if (auto there = check_folder_of(*options.plot); !there) return there;
  std::optional<std::ofstream> placements;
  if (options.placements) {
    auto file = open_for_writing(*options.placements);
    if (!file) return std::move(file).error();
    placements = *std::move(file);
    *placements << placements_header();
  }
  auto runs = run_all(options, placements ? &*placements : nullptr, out, progress);
  if (!runs) {
    remove_unfinished(options.placements);
    return std::move(runs).error();
  }
  if (options.form == report_form::table) print_table(out, *runs);
  if (placements)
    if (auto written = closed(*placements, *options.placements); !written) return written;
  return options.plot ? write_plot(*options.plot, *runs) : result<void>();
}

}  // namespace berth::tools
