#pragma once
// Queue simulator: arrivals with durations, limits, teams and priorities, through the very queue that serves a cluster.
//
// Time is simulated: it jumps from event to event. Jobs run for as long as the trace says when they are left alone, end
// at their limit, and start from the beginning after an eviction.

#include "scheduler/queue.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace berth::sched {

/// A line as it will arrive. `run` is how long each of its jobs would run.
struct queue_arrival {
  instant at{0};
  submission work;
  std::chrono::milliseconds run{0};
};

/// A cluster, its teams, and what will arrive (in order of `at`).
struct queue_trace {
  std::vector<node_spec> nodes;
  std::vector<team_spec> teams;
  std::vector<queue_arrival> arrivals;
};

/// What became of one job.
struct job_record {
  std::size_t arrival = 0;  ///< index into `queue_trace::arrivals`
  std::optional<instant> first_start;
  std::optional<instant> last_start;
  std::optional<instant> end;
  std::uint32_t starts = 0;
};

struct team_record {
  std::uint32_t weight = 1;
  std::uint64_t jobs_started = 0;
  gpu_time consumed = 0;
  std::chrono::milliseconds wait_total{0};  ///< of started jobs, from arrival to first start
  std::chrono::milliseconds wait_max{0};
};

struct queue_report {
  instant end{0};  ///< of the last event
  std::int64_t capacity_milli = 0;
  gpu_time consumed = 0;         ///< device time held by jobs, lost time included
  std::vector<instant> arrived;  ///< by arrival
  std::map<job_id, job_record> jobs;
  std::map<std::string, team_record> teams;
  std::vector<std::pair<std::size_t, error_info>> refused;  ///< arrivals that could never run
  queue_counters counters;

  /// Waits of started jobs in ascending order.
  [[nodiscard]] std::vector<std::chrono::milliseconds> waits() const;
  /// Mean wait in milliseconds; 0 when nothing started.
  [[nodiscard]] double wait_mean_ms() const;
  /// Device time held in per cent of what there was.
  [[nodiscard]] double utilisation_pct() const;
};

class queue_simulation {
 public:
  /// Errors: those of `work_queue::make`, `inventory::add` and `set_team`; `invalid` for arrivals out of order.
  static result<std::unique_ptr<queue_simulation>> make(const queue_trace& trace,
                                                        const queue_options& options);

  /// Goes to the next event that is not after `until`. Answers false when there is none.
  bool step(std::optional<instant> until = std::nullopt);

  /// Goes on until nothing happens any more, or to `until`.
  void run(std::optional<instant> until = std::nullopt);

  [[nodiscard]] work_queue& queue() noexcept { return *queue_; }

  [[nodiscard]] const work_queue& queue() const noexcept { return *queue_; }

  /// Called for each effect, after the simulation has taken note of it.
  void on_effect(std::function<void(const effect&)> callback) { on_effect_ = std::move(callback); }

  /// How long a job of this line would run; the trace's word.
  [[nodiscard]] std::chrono::milliseconds run_of(line_id line) const;

  [[nodiscard]] queue_report report() const;

 private:
  explicit queue_simulation(const queue_trace& trace) : trace_(&trace) {}

  void arrive(std::size_t arrival);
  void note(const effect& one);
  void stop_running(job_id job);

  const queue_trace* trace_;
  std::unique_ptr<work_queue> queue_;
  std::size_t next_arrival_ = 0;
  std::set<std::pair<instant, job_id>> finishes_;
  std::map<job_id, instant> finish_of_;
  std::map<line_id, std::size_t> arrival_of_;
  queue_report report_;
  std::function<void(const effect&)> on_effect_;
};

/// What a made-up trace looks like. Quantities are drawn uniformly from the lists, so a list may repeat what is common.
struct queue_trace_shape {
  std::vector<node_spec> nodes;
  std::vector<team_spec> teams;  ///< work is dealt out to teams evenly; empty: one team
  std::uint32_t lines = 200;
  std::vector<std::uint16_t> gpus{1, 1, 1, 2, 4, 8};  ///< of a job on one node
  std::uint32_t gang_pct = 0;  ///< per cent of lines that are gangs of 2 to 4 such
  std::chrono::milliseconds run_min{std::chrono::minutes(5)};
  std::chrono::milliseconds run_max{std::chrono::hours(2)};
  std::uint32_t limit_pct_max =
      100;                       ///< limit in per cent of the run time, drawn between 100 and this
  std::uint32_t load_pct = 110;  ///< device time that arrives, in per cent of the cluster's
  std::uint32_t preemptible_pct = 0;
  std::int32_t priority_max = 0;  ///< priorities are drawn between 0 and this
};

/// A trace of that shape. The same seed gives the same trace everywhere.
[[nodiscard]] queue_trace make_queue_trace(const queue_trace_shape& shape, std::uint64_t seed);

}  // namespace berth::sched
