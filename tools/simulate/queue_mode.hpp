#pragma once
// The queue mode of `berth simulate`: arrivals with durations, limits, teams and priorities, and how the queue served
// them: waits, shares, evictions, utilisation.
//
// The arrivals come from a pod list with the columns `arrive_s`, `run_s`, `limit_s` (empty: none), `team` and
// `priority` added (and, if it likes, `preemptible`, 0 or 1), or from a seeded generator.

#include "scheduler/queue_simulator.hpp"
#include "tools/simulate/simulate.hpp"

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

struct queue_mode_options {
  /// Folder with openb_node_list_gpu_node.csv; without it, eight nodes with eight GPUs each.
  std::optional<std::filesystem::path> trace;
  std::optional<std::filesystem::path>
      arrivals;  ///< a CSV file; without it they are made up by the seed
  std::vector<std::string> policies{std::string(sched::default_policy)};
  std::vector<std::uint64_t> seeds{42};
  std::string teams = "x:2,y:1";  ///< names with weights, of made-up work or of the file's teams
  sched::backfill behind = sched::backfill::easy;
  std::optional<sched::instant> until;  ///< the clock stops then; without it, when all work is done
  report_form form = report_form::table;
  std::function<bool()> stopped;  ///< asked now and then; true gives up
};

/// Runs every (policy, seed); a file of arrivals has no seed, so it runs once per policy. JSON lines go to `out`, one a
/// run, and nothing else does; progress goes to `progress`. Errors: of csv_table; `invalid` naming file, line, column
/// and what was expected, or for teams that are no list of NAME:WEIGHT; `cancelled` when stopped.
result<void> simulate_queue(const queue_mode_options& options,
                            std::ostream& out,
                            std::ostream& progress);

/// "x:2,y:1" as teams. Errors: `invalid`, saying what was expected.
[[nodiscard]] result<std::vector<sched::team_spec>> parse_teams(std::string_view text);

/// The arrivals of a file, in order of time. Rows with equal times keep the file's order.
[[nodiscard]] result<std::vector<sched::queue_arrival>> read_arrivals(
    const std::filesystem::path& file);

}  // namespace berth::tools
