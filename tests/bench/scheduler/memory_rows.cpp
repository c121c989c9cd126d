#include "runtime/base/ensure.hpp"
#include "tests/bench/scheduler/churn.hpp"
#include "tests/bench/scheduler/rows.hpp"
#include "tools/simulate/trace_files.hpp"

#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::bench {
namespace {

constexpr std::size_t nodes = 100'000;
constexpr std::size_t running = 1'000'000;
/// Offers in all; a policy that fragments fails many before a million run.
constexpr std::size_t offers_max = 4'000'000;

/// Fills a cluster in a child process; answers its peak resident memory in MB, or nothing when it did not get there.
double peak_mb(const std::vector<sched::demand>& mix, std::string_view policy) {
  const pid_t child = fork();
  base::ensure(child >= 0, "a child process can be started");
  if (child == 0) {
    churn cluster(nodes, policy, mix, 1);
    for (std::size_t offer = 0; offer < offers_max && cluster.running() < running; ++offer)
      cluster.offer();
    _exit(cluster.running() == running ? 0 : 1);
  }
  int status = 0;
  rusage used{};
  base::ensure(wait4(child, &status, 0, &used) == child, "the child is ours to wait for");
  const bool there = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return there ? static_cast<double>(used.ru_maxrss) / 1000 : 1e9;
}

}  // namespace

void memory_rows(const std::filesystem::path& data, const row_sink& sink) {
  const auto mix = std::move(
      tools::load_trace(data, "default", 42, tools::arrival_order::published).value().trace.pods);
  for (const auto policy : sched::policy_names()) {
    const std::string name(policy);
    sink(absolute(name + ".memory", name + " on 100,000 nodes with a million running, peak memory",
                  peak_mb(mix, policy), "MB", "<= 200"));
  }
}

}  // namespace berth::bench
