#include "tests/bench/scheduler/churn.hpp"

#include "runtime/base/ensure.hpp"
#include "tools/simulate/trace_files.hpp"

#include <algorithm>
#include <ctime>
#include <numeric>
#include <string>

namespace berth::bench {
namespace {

constexpr std::int64_t load_percent = 90;

std::unique_ptr<sched::policy> seeded(std::string_view name, std::uint64_t seed) {
  sched::policy_options options;
  options.seed = seed;
  return std::move(sched::make_policy(name, options).value());
}

}  // namespace

sched::inventory uniform_cluster(std::size_t count) {
  sched::inventory nodes;
  sched::node_spec spec;
  spec.cpu_milli = 128'000;
  spec.memory_mib = 1 << 20;
  spec.topology = base::uniform_topology(8, "H100", 81'559, 478'116, 2);
  for (std::size_t i = 0; i < count; ++i) {
    spec.name = "node-" + std::to_string(i);
    spec.labels = {{"rack", std::to_string(i / 10)}, {"zone", std::to_string(i / 125)}};
    base::ensure(nodes.add(spec).has_value(), "a uniform node is a valid node");
  }
  return nodes;
}

std::vector<sched::demand> default_mix(const std::filesystem::path& data) {
  return std::move(
      tools::load_trace(data, "default", 42, tools::arrival_order::published).value().trace.pods);
}

std::int64_t thread_nanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

std::int64_t clock_cost() {
  std::vector<std::int64_t> costs(1001);
  for (auto& cost : costs) {
    const auto before = thread_nanoseconds();
    cost = thread_nanoseconds() - before;
  }
  std::nth_element(costs.begin(), costs.begin() + 500, costs.end());
  return costs[500];
}

double quantile_us(std::vector<std::int64_t>& nanoseconds, double q) {
  const auto at = static_cast<std::ptrdiff_t>(q * static_cast<double>(nanoseconds.size() - 1));
  std::nth_element(nanoseconds.begin(), nanoseconds.begin() + at, nanoseconds.end());
  return static_cast<double>(nanoseconds[static_cast<std::size_t>(at)]) / 1000;
}

churn::churn(std::size_t nodes,
             std::string_view policy,
             const std::vector<sched::demand>& mix,
             std::uint64_t seed)
    : nodes_(uniform_cluster(nodes)),
      policy_(seeded(policy, seed)),
      mix_(mix),
      random_(seed),
      capacity_milli_(nodes_.total().gpu_milli) {}

void churn::arrive(std::vector<std::int64_t>* nanoseconds) {
  const auto& wanted = mix_[random_.below(static_cast<std::uint32_t>(mix_.size()))];
  const auto before = nanoseconds == nullptr ? 0 : thread_nanoseconds();
  policy_->arrived(nodes_, wanted);
  auto planned = sched::plan(nodes_, *policy_, wanted);
  if (nanoseconds != nullptr) nanoseconds->push_back(thread_nanoseconds() - before);
  if (!planned) return;
  running_.push_back({nodes_.reserve(*planned).value(), wanted.each.milli()});
  allocated_milli_ += wanted.each.milli();
}

void churn::depart_to_load() {
  while (allocated_milli_ * 100 > capacity_milli_ * load_percent) {
    const auto at = random_.below(static_cast<std::uint32_t>(running_.size()));
    nodes_.release(running_[at].held).value();
    allocated_milli_ -= running_[at].milli;
    running_[at] = running_.back();
    running_.pop_back();
  }
}

void churn::step() {
  arrive(nullptr);
  depart_to_load();
}

void churn::fill_up() {
  while (allocated_milli_ * 100 < capacity_milli_ * load_percent)
    arrive(nullptr);
}

decision_times churn::run(std::size_t decisions) {
  std::vector<std::int64_t> times;
  times.reserve(decisions);
  for (std::size_t i = 0; i < decisions; ++i) {
    arrive(&times);
    depart_to_load();
  }
  const auto cost = clock_cost();
  for (auto& time : times)
    time = std::max<std::int64_t>(time - cost, 0);
  decision_times result;
  const auto sum = std::accumulate(times.begin(), times.end(), std::int64_t{0});
  result.per_second = 1e9 * static_cast<double>(decisions) / static_cast<double>(sum);
  result.longest_ms = static_cast<double>(*std::max_element(times.begin(), times.end())) / 1e6;
  result.p50_us = quantile_us(times, 0.5);
  result.p99_us = quantile_us(times, 0.99);
  return result;
}

}  // namespace berth::bench
