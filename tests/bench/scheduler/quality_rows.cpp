#include "scheduler/replay.hpp"
#include "tests/bench/scheduler/rows.hpp"
#include "tools/simulate/trace_files.hpp"

#include <algorithm>
#include <map>

namespace berth::bench {
namespace {

constexpr std::uint64_t seeds[] = {42, 43, 44};
constexpr const char* workloads[] = {"default",    "cpu100",    "gpushare40",
                                     "gpushare80", "gpuspec10", "multigpu20"};

struct outcome {
  std::map<int, double> allocation;  ///< mean over the seeds at 100 and 130
  double first_failure = 1000;       ///< the earliest of the seeds
  double cpu_failed_pct = 0;
};

sched::trace trace_of(const std::filesystem::path& data,
                      const std::string& workload,
                      std::uint64_t seed) {
  return std::move(
      tools::load_trace(data, workload, seed, tools::arrival_order::published).value().trace);
}

outcome run(const std::filesystem::path& data,
            const std::string& workload,
            std::string_view policy) {
  outcome made;
  double failed = 0;
  double offered = 0;
  for (const auto seed : seeds) {
    const auto report = sched::replay(trace_of(data, workload, seed), policy, seed).value();
    for (const int column : {100, 130})
      made.allocation[column] += report.allocation_by_column().at(column) / std::size(seeds);
    made.first_failure = std::min(made.first_failure, report.first_gpu_failure_pct.value_or(1000));
    failed += report.failed.at("cpu");
    offered += report.cpu_only_arrivals;
  }
  made.cpu_failed_pct = offered > 0 ? 100 * failed / offered : 0;
  return made;
}

/// The largest change of allocation when every processor figure doubles and every model has another name.
double change_by_scale(const std::filesystem::path& data) {
  double largest = 0;
  for (const auto seed : seeds) {
    auto of = trace_of(data, "default", seed);
    const auto plain = sched::replay(of, "fill", seed).value().allocation_by_column();
    for (auto& node : of.nodes) {
      node.cpu_milli *= 2;
      for (auto& device : node.topology.devices)
        device.model.insert(0, "renamed ");
    }
    for (auto& pod : of.pods) {
      pod.each.cpu_milli *= 2;
      for (auto& model : pod.models)
        model.insert(0, "renamed ");
    }
    const auto scaled = sched::replay(of, "fill", seed).value().allocation_by_column();
    for (const int column : {100, 130})
      largest = std::max(largest, std::abs(scaled.at(column) - plain.at(column)));
  }
  return largest;
}

}  // namespace

void quality_rows(const std::filesystem::path& data, const row_sink& sink) {
  for (const std::string workload : workloads) {
    const auto fill = run(data, workload, "fill");
    const auto fgd = run(data, workload, "fgd");
    for (const int column : {100, 130}) {
      const auto at = std::to_string(column);
      sink(workload == "default" ? absolute(
               "fill.default.at" + at, "fill on default, mean allocation at " + at + " % arrived",
               fill.allocation.at(column), "%", column == 100 ? ">= 96" : ">= 96.1")
                                 : absolute("fill." + workload + ".above_fgd.at" + at,
                                            "fill above fgd on " + workload + " at " + at + " %",
                                            fill.allocation.at(column) - fgd.allocation.at(column),
                                            "points", ">= -0.05"));
    }
    if (workload == "default")
      sink(absolute("fill.default.first_failure",
                    "fill on default, earliest failed GPU pod of the three orders",
                    fill.first_failure, "% arrived", ">= 95.5"));
    sink(absolute("fill." + workload + ".cpu_only_failed",
                  "fill on " + workload + ", CPU-only arrivals that failed", fill.cpu_failed_pct,
                  "%", workload == "gpushare80" ? "<= 6" : "<= 0"));
  }
  sink(absolute("fill.scale", "fill on default, change by doubled processors and renamed models",
                change_by_scale(data), "points", "<= 0.2"));
}

}  // namespace berth::bench
