#include "scheduler/workload.hpp"

#include <algorithm>

namespace berth::sched {

void workload::arrived(const need& each,
                       const std::vector<std::string>& models,
                       std::uint64_t times) {
  counts_[{each.cpu_milli, each.gpu_milli, each.gpus, models}] += times;
  arrivals_ += times;
}

std::vector<expected_demand> workload::frequent(std::uint32_t percent) const {
  std::vector<std::pair<std::uint64_t, const key*>> order;
  for (const auto& [shape, count] : counts_)
    order.emplace_back(count, &shape);
  std::sort(order.begin(), order.end(), [](const auto& one, const auto& two) {
    return one.first != two.first ? one.first > two.first : *one.second > *two.second;
  });
  std::vector<expected_demand> chosen;
  std::uint64_t covered = 0;
  for (const auto& [count, shape] : order) {
    if (covered * 100 >= arrivals_ * percent) break;
    covered += count;
    chosen.push_back(
        {{shape->cpu_milli, 0, shape->gpus, shape->gpu_milli, 0}, shape->models, count});
  }
  return chosen;
}

}  // namespace berth::sched
