#pragma once
// A cluster kept at 90 % load by arrivals of a published mix and seeded random departures; times the decisions alone.

#include "scheduler/inventory.hpp"
#include "scheduler/policy.hpp"
#include "scheduler/random_source.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

namespace berth::bench {

/// `count` nodes of 128 cores, 1 TiB and 8 GPUs, in racks of ten and zones of 125.
[[nodiscard]] sched::inventory uniform_cluster(std::size_t count);

/// The work of the published workload `default`.
[[nodiscard]] std::vector<sched::demand> default_mix(const std::filesystem::path& data);

struct decision_times {
  double per_second = 0;  ///< decisions per second of thread CPU time
  double p50_us = 0;
  double p99_us = 0;
  double longest_ms = 0;
};

class churn {
 public:
  churn(std::size_t nodes,
        std::string_view policy,
        const std::vector<sched::demand>& mix,
        std::uint64_t seed);

  /// Offers work until the cluster is 90 % allocated.
  void fill_up();
  /// `decisions` arrivals, each timed by the thread's CPU clock (its own cost subtracted), each followed by departures
  /// until the load is 90 % again.
  decision_times run(std::size_t decisions);
  /// One untimed arrival and its departures.
  void step();

  /// One untimed arrival.
  void offer() { arrive(nullptr); }

  [[nodiscard]] std::size_t running() const { return running_.size(); }

  [[nodiscard]] sched::inventory& nodes() { return nodes_; }

  [[nodiscard]] sched::policy& by() { return *policy_; }

 private:
  struct work {
    sched::claim held;
    std::int32_t milli = 0;
  };

  void arrive(std::vector<std::int64_t>* nanoseconds);
  void depart_to_load();

  sched::inventory nodes_;
  std::unique_ptr<sched::policy> policy_;
  const std::vector<sched::demand>& mix_;
  sched::random_source random_;
  std::vector<work> running_;
  std::int64_t capacity_milli_ = 0;
  std::int64_t allocated_milli_ = 0;
};

/// The thread's CPU time in nanoseconds.
[[nodiscard]] std::int64_t thread_nanoseconds();

/// What two readings of `thread_nanoseconds` cost, median.
[[nodiscard]] std::int64_t clock_cost();

/// Sorts and reads off the quantile `q`.
[[nodiscard]] double quantile_us(std::vector<std::int64_t>& nanoseconds, double q);

}  // namespace berth::bench
