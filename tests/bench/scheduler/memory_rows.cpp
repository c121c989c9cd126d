#include "runtime/base/ensure.hpp"
#include "tests/bench/scheduler/churn.hpp"
#include "tests/bench/scheduler/rows.hpp"

#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::bench {
namespace {

constexpr std::size_t nodes = 100'000;
/// A quick look takes a tenth of the cluster.
constexpr std::size_t nodes_quick = 10'000;
constexpr std::size_t running_per_node = 10;
/// Offers in all per node; a policy that fragments fails many before so many run.
constexpr std::size_t offers_per_node_max = 40;

/// Fills a cluster in a child process; answers its peak resident memory in MB, or nothing when it did not get there.
double peak_mb(const std::vector<sched::demand>& mix, std::string_view policy, std::size_t count) {
  const auto running = count * running_per_node;
  const pid_t child = fork();
  base::ensure(child >= 0, "a child process can be started");
  if (child == 0) {
    churn cluster(count, policy, mix, 1);
    for (std::size_t offer = 0; offer < count * offers_per_node_max && cluster.running() < running;
         ++offer)
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

void memory_rows(const bench_run& run) {
  const auto mix = default_mix(run.data);
  for (const auto policy : sched::policy_names()) {
    const std::string name(policy);
    if (!run.wants_any("memory", {name.c_str()})) continue;
    run.tell(absolute("memory." + name,
                      name + " on 100,000 nodes with a million running, peak memory",
                      peak_mb(mix, policy, run.how.quick ? nodes_quick : nodes), "MB", "<= 200"));
  }
}

}  // namespace berth::bench
