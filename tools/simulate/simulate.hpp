#pragma once
// `berth simulate`: a published trace through the scheduler, and what came of it as a table, JSON lines or a plot.
//
// The face only: files, words and pictures. The replay itself is scheduler/replay.hpp.

#include "scheduler/replay.hpp"
#include "tools/simulate/trace_files.hpp"

#include <berth/error.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::tools {

enum class report_form : std::uint8_t { table, json };

struct simulate_options {
  std::filesystem::path trace;
  std::vector<std::string> workloads{"default"};
  std::vector<std::string> policies{std::string(sched::default_policy)};
  std::vector<std::uint64_t> seeds{42};
  arrival_order order = arrival_order::published;
  report_form form = report_form::table;
  std::optional<std::filesystem::path> plot;        ///< an SVG file to write
  std::optional<std::filesystem::path> placements;  ///< a CSV file to write
  std::function<bool()> stopped;                    ///< asked now and then; true gives up
};

/// One replay and what it was of.
struct simulated_run {
  std::string policy;
  std::string workload;
  std::uint64_t seed = 0;
  arrival_order order = arrival_order::published;
  sched::replay_report report;
};

/// Replays every (workload, policy, seed). JSON lines go to `out` as each run ends, the table at the end; progress goes
/// to `progress` and nothing else does. Errors: those of load_trace and replay; `failed` when a file cannot be written;
/// `cancelled` when stopped. A placements file that was not written to its end is removed.
result<void> simulate(const simulate_options& options, std::ostream& out, std::ostream& progress);

/// "42-44,50" as numbers, ascending within ranges. Errors: `invalid`, saying what was expected; at most 1,000 seeds.
[[nodiscard]] result<std::vector<std::uint64_t>> parse_seeds(std::string_view text);

/// What a run that was stopped ends with: `cancelled`.
[[nodiscard]] error_info stopped_error();

}  // namespace berth::tools
