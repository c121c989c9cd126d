#include "scheduler/replay.hpp"

#include "scheduler/fragmentation.hpp"
#include "scheduler/random_source.hpp"
#include "scheduler/workload.hpp"

#include <cmath>
#include <numeric>

namespace berth::sched {
namespace {

/// 100 * part / whole rounded to the nearest integer, halves to even.
int rounded_percent(std::int64_t part, std::int64_t whole) {
  const std::int64_t down = 100 * part / whole;
  const std::int64_t rest = 2 * (100 * part - down * whole);
  return static_cast<int>(rest > whole || (rest == whole && down % 2 == 1) ? down + 1 : down);
}

template <class Value>
std::map<int, double> by_column(const replay_report& of, Value&& value) {
  std::map<int, std::pair<double, std::size_t>> sums;
  for (std::size_t i = 0; i < of.events.size(); ++i) {
    auto& [sum, count] = sums[rounded_percent(of.events[i].arrived_milli, of.capacity_milli)];
    sum += value(i);
    ++count;
  }
  std::map<int, double> means;
  for (const auto& [column, sum] : sums)
    means[column] =
        100 * sum.first / static_cast<double>(sum.second) / static_cast<double>(of.capacity_milli);
  return means;
}

/// Keeps the sum of F over the nodes up to date, one changed node at a time.
class frag_book {
 public:
  frag_book(const inventory& nodes, std::span<const expected_demand> target)
      : measure_(nodes, target) {
    for (node_id node = 0; node < nodes.size(); ++node) {
      of_node_.push_back(measure_.of(nodes, node));
      sum_ += of_node_.back();
    }
  }

  void changed(const inventory& nodes, node_id node) {
    sum_ -= of_node_[node];
    of_node_[node] = measure_.of(nodes, node);
    sum_ += of_node_[node];
  }

  [[nodiscard]] double milli() const {
    return static_cast<double>(sum_)
           / static_cast<double>(std::max<std::int64_t>(measure_.weight(), 1));
  }

 private:
  fragmentation measure_;
  std::vector<std::int64_t> of_node_;
  std::int64_t sum_ = 0;
};

constexpr std::size_t events_per_progress = 500;

}  // namespace

std::map<int, double> replay_report::allocation_by_column() const {
  return by_column(*this,
                   [&](std::size_t i) { return static_cast<double>(events[i].allocated_milli); });
}

std::map<int, double> replay_report::frag_by_column() const {
  return by_column(*this, [&](std::size_t i) { return static_cast<double>(frag_curve[i]); });
}

std::string pod_class(const need& of) {
  if (of.gpus == 0) return "cpu";
  if (of.gpu_milli < 1000) return "share";
  return std::to_string(of.gpus);
}

result<replay_report> replay(const trace& of,
                             std::string_view policy_name,
                             std::uint64_t seed,
                             const std::function<bool(std::size_t)>& progress) {
  inventory nodes;
  for (const auto& spec : of.nodes)
    if (auto added = nodes.add(spec); !added) return std::move(added).error();
  if (nodes.total().gpu_milli == 0)
    return fail(kind::invalid, "no_devices",
                "the nodes of the trace have no device, and everything is measured against those");
  workload whole;
  for (const auto& pod : of.pods)
    whole.arrived(pod.each, pod.models);
  const auto target = whole.frequent(95);
  policy_options options;
  options.seed = seed;
  if (policy_name == "fgd") options.target = target;
  auto by = make_policy(policy_name, options);
  if (!by) return std::move(by).error();

  replay_report report;
  report.capacity_milli = nodes.total().gpu_milli;
  report.failed = {{"cpu", 0}, {"share", 0}, {"1", 0}, {"2", 0}, {"4", 0}, {"8", 0}};
  frag_book frag(nodes, target);
  replay_event books;
  for (const auto pod : of.arrivals) {
    const auto& wanted = of.pods[pod];
    books.pod = pod;
    books.arrived_milli += wanted.each.milli();
    books.placed.reset();
    if (wanted.each.gpus == 0) ++report.cpu_only_arrivals;
    (*by)->arrived(nodes, wanted);
    if (auto planned = plan(nodes, **by, wanted)) {
      if (auto held = nodes.reserve(*planned); !held) return std::move(held).error();
      books.placed = planned->ranks.front();
      books.allocated_milli += wanted.each.milli();
      frag.changed(nodes, books.placed->node);
    } else if (planned.error().code == "bad_demand") {
      return std::move(planned).error();
    } else {
      ++report.failed[pod_class(wanted.each)];
      if (wanted.each.gpus > 0 && !report.first_gpu_failure_pct)
        report.first_gpu_failure_pct = 100 * static_cast<double>(books.arrived_milli)
                                       / static_cast<double>(report.capacity_milli);
    }
    report.events.push_back(books);
    report.frag_curve.push_back(static_cast<float>(frag.milli()));
    const auto done = report.events.size();
    const bool due = done % events_per_progress == 0 || done == of.arrivals.size();
    if (progress && due && !progress(done))
      return fail(kind::cancelled, "stopped", "stopped before the end of the replay");
  }
  report.frag_milli = frag.milli();
  return report;
}

std::vector<std::uint32_t> shuffled_arrivals(const std::vector<demand>& pods,
                                             std::int64_t capacity_milli,
                                             std::uint64_t seed) {
  random_source random(seed);
  std::vector<std::uint32_t> order(pods.size());
  std::iota(order.begin(), order.end(), 0U);
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[random.below(static_cast<std::uint32_t>(i))]);
  std::int64_t sum = 0;
  for (const auto& pod : pods)
    sum += pod.each.milli();
  const std::int64_t most = capacity_milli * 13 / 10;
  while (sum > most) {
    const auto at = random.below(static_cast<std::uint32_t>(order.size()));
    sum -= pods[order[at]].each.milli();
    order.erase(order.begin() + at);
  }
  for (bool full = pods.empty() || sum == 0; !full;) {
    const auto pod = random.below(static_cast<std::uint32_t>(pods.size()));
    full = sum + pods[pod].each.gpu_milli > most;
    if (full) break;
    sum += pods[pod].each.milli();
    order.push_back(pod);
  }
  return order;
}

}  // namespace berth::sched
