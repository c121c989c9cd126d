#include "scheduler/fragmentation.hpp"

#include <algorithm>
#include <set>

namespace berth::sched {
namespace {

/// Counts above this are halved together: the tables keep 32-bit weights.
constexpr std::uint64_t weight_max = 100'000'000;

/// The most frequent shapes come first; the rest of a workload with more is too rare to weigh. The published one has 35.
constexpr std::size_t shapes_max = 512;

std::vector<expected_demand> bounded(std::span<const expected_demand> target) {
  std::vector<expected_demand> kept(
      target.begin(),
      target.begin() + static_cast<std::ptrdiff_t>(std::min(target.size(), shapes_max)));
  const auto sum = [&] {
    std::uint64_t total = 0;
    for (const auto& one : kept)
      total += one.count;
    return total;
  };
  while (sum() > weight_max)
    for (auto& one : kept)
      one.count = std::max<std::uint64_t>(one.count / 2, 1);
  return kept;
}

}  // namespace

fragmentation::fragmentation(const inventory& nodes, std::span<const expected_demand> target) {
  const auto kept = bounded(target);
  for (const auto& one : kept)
    weight_ += static_cast<std::int64_t>(one.count);
  for (std::size_t model = 0; model < nodes.models().size(); ++model)
    models_.push_back(build(nodes, kept, model));
}

fragmentation::tables fragmentation::build(const inventory& nodes,
                                           std::span<const expected_demand> target,
                                           std::size_t model) {
  std::set<std::int32_t> cpu;
  std::set<std::uint16_t> milli;
  std::vector<const expected_demand*> admitted;
  for (const auto& one : target) {
    if (one.each.gpus == 0 || (nodes.model_mask(one.models) >> model & 1) == 0) continue;
    admitted.push_back(&one);
    cpu.insert(one.each.cpu_milli);
    milli.insert(one.each.gpu_milli);
  }
  tables made;
  made.cpu.assign(cpu.begin(), cpu.end());
  while (!made.cpu.empty()
         && made.cpu.back() >> made.cpu_shift >= static_cast<std::int32_t>(made.cpu_first.size()))
    ++made.cpu_shift;
  for (std::size_t bin = 0; bin < made.cpu_first.size(); ++bin) {
    const auto from = static_cast<std::int64_t>(bin) << made.cpu_shift;
    made.cpu_first[bin] = static_cast<std::uint16_t>(
        std::upper_bound(made.cpu.begin(), made.cpu.end(), from) - made.cpu.begin());
  }
  made.milli_classes = milli.size() + 1;
  std::uint16_t cls = 0;
  for (std::size_t left = 0; left <= 1000; ++left) {
    if (milli.contains(static_cast<std::uint16_t>(left))) ++cls;
    made.milli_class[left] = cls;
  }
  made.fits.assign((made.cpu.size() + 1) * made.milli_classes, 0);
  made.too_few.assign((made.cpu.size() + 1) * device_bound, 0);
  for (std::size_t c = 0; c <= made.cpu.size(); ++c)
    for (const auto* one : admitted) {
      if (c == 0 || made.cpu[c - 1] < one->each.cpu_milli) continue;
      for (std::size_t m = made.milli_class[one->each.gpu_milli]; m < made.milli_classes; ++m)
        made.fits[c * made.milli_classes + m] += static_cast<std::int32_t>(one->count);
      for (std::size_t idle = 0; idle < one->each.gpus && idle < device_bound; ++idle)
        made.too_few[c * device_bound + idle] +=
            static_cast<std::int64_t>(one->count * idle * 1000);
    }
  return made;
}

std::int64_t fragmentation::of_model(std::size_t model,
                                     std::int32_t cpu_milli,
                                     const node_kind& kind,
                                     std::span<const std::uint16_t> milli) const {
  const auto& in = models_[model];
  const auto tables = at(in, cpu_milli);
  std::int64_t sum = 0;
  std::size_t idle = 0;
  for (std::size_t i = 0; i < milli.size(); ++i) {
    if (kind.model[i] != model) continue;
    sum += milli[i] * (weight_ - tables.fits[in.milli_class[milli[i]]]);
    idle += milli[i] == 1000 ? 1 : 0;
  }
  return sum + tables.too_few[idle];
}

std::int64_t fragmentation::of_mixed(const node_kind& kind,
                                     std::int32_t cpu_milli,
                                     std::span<const std::uint16_t> milli) const {
  std::int64_t sum = 0;
  for (std::size_t model = 0; model < models_.size(); ++model)
    if ((kind.models >> model & 1) != 0) sum += of_model(model, cpu_milli, kind, milli);
  return sum;
}

std::int64_t fragmentation::of(const inventory& nodes, node_id node) const {
  return of_mixed(nodes.kind(node), nodes.row(node).cpu_milli, nodes.milli(node));
}

}  // namespace berth::sched
