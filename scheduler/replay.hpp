#pragma once
// Replay: offers a published workload to a cluster, one pod at a time, and keeps the books.
//
// The protocol is that of the published table: no departures, no retries, a pod fails only when no node is feasible.
// It goes through the very same inventory, plan and policies that serve a real cluster.

#include "scheduler/inventory.hpp"
#include "scheduler/policy.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::sched {

/// A cluster and the work offered to it. Nodes come in tie-break order, arrivals are indices into `pods`.
struct trace {
  std::vector<node_spec> nodes;
  std::vector<demand> pods;
  std::vector<std::uint32_t> arrivals;
};

/// The books after one arrival.
struct replay_event {
  std::uint32_t pod = 0;
  std::int64_t arrived_milli = 0;    ///< GPU demand offered so far
  std::int64_t allocated_milli = 0;  ///< GPU allocated now
  std::optional<slot> placed;        ///< nothing when the pod failed
};

struct replay_report {
  std::int64_t capacity_milli = 0;
  std::vector<replay_event> events;
  double frag_milli = 0;          ///< at the end, by the trace's own target workload
  std::vector<float> frag_curve;  ///< milli, after each event
  std::map<std::string, std::uint32_t>
      failed;  ///< by class: cpu, share, 1, 2, 4, 8, and other device counts
  std::uint32_t cpu_only_arrivals = 0;
  std::optional<double>
      first_gpu_failure_pct;  ///< arrived demand in % of capacity, that pod included

  /// Mean allocation in % of capacity over the events whose arrived demand rounds (half to even) to each per cent.
  [[nodiscard]] std::map<int, double> allocation_by_column() const;
  /// The same of the fragmented amount.
  [[nodiscard]] std::map<int, double> frag_by_column() const;
};

/// The class a pod is counted under.
[[nodiscard]] std::string pod_class(const need& of);

/// Runs one policy over a trace. `fgd` is told the trace's whole workload, as published; `fill` learns from arrivals.
/// `progress` is called now and then with the number of arrivals done; false gives up. Errors: those of `inventory::add`
/// and `make_policy`; `invalid` for a pod whose quantities are out of range or nodes without a device; `cancelled` when
/// given up.
[[nodiscard]] result<replay_report> replay(const trace& of,
                                           std::string_view policy_name,
                                           std::uint64_t seed,
                                           const std::function<bool(std::size_t)>& progress = {});

/// An order of arrivals in the manner of the published ones: the pods shuffled, then filled up by draws with
/// replacement until GPU demand would pass 1.3 x capacity, or thinned out at random to below it.
[[nodiscard]] std::vector<std::uint32_t> shuffled_arrivals(const std::vector<demand>& pods,
                                                           std::int64_t capacity_milli,
                                                           std::uint64_t seed);

}  // namespace berth::sched
