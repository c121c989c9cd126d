#include "scheduler/workload.hpp"

#include <algorithm>

namespace berth::sched {

namespace {

/// By count, then by shape, the most frequent first.
template <class Counts>
auto by_frequency(const Counts& counts) {
  std::vector<std::pair<std::uint64_t, const typename Counts::key_type*>> order;
  for (const auto& [shape, count] : counts)
    order.emplace_back(count, &shape);
  std::sort(order.begin(), order.end(), [](const auto& one, const auto& two) {
    return one.first != two.first ? one.first > two.first : *one.second > *two.second;
  });
  return order;
}

}  // namespace

void workload::arrived(const need& each,
                       const std::vector<std::string>& models,
                       std::uint64_t times) {
  const auto [at, is_new] =
      counts_.try_emplace({each.cpu_milli, each.gpu_milli, each.gpus, models}, 0);
  at->second += times;
  arrivals_ += times;
  remembered_ += times;
  if (!is_new) return;
  bytes_ += cost(at->first);
  if (counts_.size() > shapes_max) forget_rarer_half();
}

std::size_t workload::cost(const key& shape) {
  constexpr std::size_t links_bytes = 4 * sizeof(void*);
  std::size_t bytes = sizeof(std::pair<const key, std::uint64_t>) + links_bytes;
  for (const auto& model : shape.models)
    bytes += sizeof(model) + model.capacity();
  return bytes;
}

void workload::forget_rarer_half() {
  const auto order = by_frequency(counts_);
  for (auto at = order.begin() + shapes_max / 2; at != order.end(); ++at) {
    remembered_ -= at->first;
    bytes_ -= cost(*at->second);
    counts_.erase(*at->second);
  }
}

std::vector<expected_demand> workload::frequent(std::uint32_t percent) const {
  std::vector<expected_demand> chosen;
  std::uint64_t covered = 0;
  for (const auto& [count, shape] : by_frequency(counts_)) {
    if (covered * 100 >= remembered_ * percent) break;
    covered += count;
    chosen.push_back(
        {{shape->cpu_milli, 0, shape->gpus, shape->gpu_milli, 0}, shape->models, count});
  }
  return chosen;
}

}  // namespace berth::sched
