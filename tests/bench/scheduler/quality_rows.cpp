#include "runtime/base/ensure.hpp"
#include "scheduler/replay.hpp"
#include "tests/bench/scheduler/rows.hpp"
#include "tools/simulate/csv.hpp"
#include "tools/simulate/trace_files.hpp"

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace berth::bench {
namespace {

constexpr std::uint64_t seeds_all[] = {42, 43, 44};
using seed_list = std::span<const std::uint64_t>;
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

/// What `fill` makes of a workload.
outcome replayed(const std::filesystem::path& data, seed_list seeds, const std::string& workload) {
  outcome made;
  double failed = 0;
  double offered = 0;
  for (const auto seed : seeds) {
    const auto report = sched::replay(trace_of(data, workload, seed), "fill", seed).value();
    for (const int column : {100, 130})
      made.allocation[column] +=
          report.allocation_by_column().at(column) / static_cast<double>(seeds.size());
    made.first_failure = std::min(made.first_failure, report.first_gpu_failure_pct.value_or(1000));
    failed += report.failed.at("cpu");
    offered += report.cpu_only_arrivals;
  }
  made.cpu_failed_pct = offered > 0 ? 100 * failed / offered : 0;
  return made;
}

/// The published mean allocation of FGD at 100 and 130 % arrived, over its ten orders.
std::map<int, double> published_fgd(const std::filesystem::path& data,
                                    const std::string& workload) {
  const auto table = tools::csv_table::read(data / "published_means.csv").value();
  const auto text = [&](std::size_t row, std::string_view column) {
    return table.text(row, table.column(column).value());
  };
  for (std::size_t row = 0; row < table.size(); ++row)
    if (text(row, "metric") == "allo_discrete" && text(row, "workload") == workload
        && text(row, "policy") == "06-FGD")
      return {{100, std::stod(std::string(text(row, "at100")))},
              {130, std::stod(std::string(text(row, "at130")))}};
  base::ensure(false, "the published means name every workload there is");
  return {};
}

/// The largest change of allocation when every processor figure doubles and every model has another name.
double change_by_scale(const std::filesystem::path& data, seed_list seeds) {
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

void default_rows(const bench_run& run, const outcome& fill) {
  run.tell(absolute("quality.default.at100", "fill on default, mean allocation at 100 % arrived",
                    fill.allocation.at(100), "%", ">= 96"));
  run.tell(absolute("quality.default.at130", "fill on default, mean allocation at 130 % arrived",
                    fill.allocation.at(130), "%", ">= 96.1"));
  run.tell(absolute("quality.default.first_failure",
                    "fill on default, earliest failed GPU pod of the orders", fill.first_failure,
                    "% arrived", ">= 95.5"));
}

void beside_fgd_rows(const bench_run& run, const std::string& workload, const outcome& fill) {
  const auto fgd = published_fgd(run.data, workload);
  for (const int column : {100, 130}) {
    const auto at = std::to_string(column);
    run.tell(absolute("quality." + workload + ".at" + at,
                      "fill above the published fgd on " + workload + " at " + at + " %",
                      fill.allocation.at(column) - fgd.at(column), "points", ">= -0.05"));
  }
}

}  // namespace

void quality_rows(const bench_run& run) {
  const auto seeds = seed_list(seeds_all).first(run.how.quick ? 1 : std::size(seeds_all));
  for (const std::string workload : workloads) {
    const auto group = "quality." + workload;
    if (!run.wants_any(group, {"at100", "at130", "first_failure", "cpu_only_failed"})) continue;
    const auto fill = replayed(run.data, seeds, workload);
    if (workload == "default")
      default_rows(run, fill);
    else
      beside_fgd_rows(run, workload, fill);
    run.tell(absolute(group + ".cpu_only_failed",
                      "fill on " + workload + ", CPU-only arrivals that failed",
                      fill.cpu_failed_pct, "%", workload == "gpushare80" ? "<= 6" : "<= 0"));
  }
  if (run.wants_any("quality", {"scale"}))
    run.tell(absolute("quality.scale",
                      "fill on default, change by doubled processors and renamed models",
                      change_by_scale(run.data, seeds), "points", "<= 0.2"));
}

}  // namespace berth::bench
