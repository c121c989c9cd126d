#include "scheduler/prices.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

namespace berth::sched {
namespace {

/// Three of each size keep an order from running out of slots for a shape it has not met yet.
constexpr std::uint64_t presumed_count = 3;
constexpr std::uint16_t presumed_sizes[] = {2, 4, 8};
/// Presumed shapes at most: a cluster of very many kinds of node would pay for each at every weighing.
constexpr std::size_t presumed_max = 64;
/// What processor for work without devices is worth, in parts of the GPU it has beside it in the cluster. Where processor
/// runs short the GPU left is in pieces that little work takes. Of 1, 3 and 10 the last keeps most such work (of a
/// workload of shares alone 1.4 % fails instead of 5.1 %) and takes 0.02 points of allocation from the others.
constexpr double host_worth = 10;
/// A price moves when it differs by more than this many milli and by more than a tenth.
constexpr std::int64_t price_slack = 10;

/// How likely a slot is missed when `expected` demands compete for `slots`: the cube holds back while slots abound.
double scarcity(double expected, std::int64_t slots) {
  const double ratio =
      std::min(1.0, expected / static_cast<double>(std::max<std::int64_t>(slots, 1)));
  return ratio * ratio * ratio;
}

bool moved(std::int64_t from, std::int64_t to) {
  const auto by = std::abs(from - to);
  return by > price_slack && by * 10 > std::max(from, to);
}

/// Drops the rarer half of `known` by `weight` when there are more than `most`.
template <class Known, class Weight>
void keep_heavier(std::vector<Known>& known, std::size_t most, Weight&& weight) {
  if (known.size() <= most) return;
  std::stable_sort(known.begin(), known.end(),
                   [&](const Known& one, const Known& two) { return weight(one) > weight(two); });
  known.resize(most / 2);
}

}  // namespace

void prices::arrived(const need& each, std::uint64_t models) {
  if (each.gpus == 0) {
    count_shape(hosts_only_, each, ~std::uint64_t{0});
    return;
  }
  const auto milli = static_cast<std::uint64_t>(each.milli());
  gpu_milli_ += milli;
  gpu_cpu_milli_ += static_cast<std::uint64_t>(each.cpu_milli);
  gpu_memory_mib_ += static_cast<std::uint64_t>(each.memory_mib);
  if (models != ~std::uint64_t{0}) {
    const auto known = std::find_if(groups_.begin(), groups_.end(),
                                    [&](const group& one) { return one.models == models; });
    if (known == groups_.end()) {
      groups_.push_back({models, milli, 0});
      keep_heavier(groups_, shapes_max, [](const group& one) { return one.milli; });
    } else {
      known->milli += milli;
    }
  }
  if (each.gpus < 2) return;
  count_shape(gangs_, each, models);
}

void prices::count_shape(std::vector<shape>& shapes, const need& each, std::uint64_t models) {
  const auto known = std::find_if(shapes.begin(), shapes.end(), [&](const shape& one) {
    return one.each == each && one.models == models;
  });
  if (known == shapes.end()) {
    shapes.push_back({each, models, 1, 0, 0});
    keep_heavier(shapes, shapes_max, [](const shape& one) { return one.count; });
  } else {
    ++known->count;
  }
}

void prices::presume(const inventory& nodes) {
  presumed_.clear();
  const auto add = [&](const need& each) {
    const auto same = [&](const shape& one) { return one.each == each; };
    if (std::none_of(presumed_.begin(), presumed_.end(), same))
      presumed_.push_back({each, ~std::uint64_t{0}, presumed_count, 0, 0});
  };
  const auto usual = [&](std::uint64_t of, std::uint16_t devices) {
    return static_cast<std::int32_t>(of * devices * 1000 / gpu_milli_);
  };
  for (const auto size : presumed_sizes)
    add({usual(gpu_cpu_milli_, size), usual(gpu_memory_mib_, size), size, 1000, 0});
  for (std::size_t number = 0; number < nodes.kinds(); ++number) {
    const auto& kind = nodes.kind_at(number);
    if (kind.model.size() < 2) continue;
    if (presumed_.size() == presumed_max) break;
    add({kind.cpu_milli / 16 * 15, kind.memory_mib / 16 * 15,
         static_cast<std::uint16_t>(kind.model.size()), 1000, 0});
  }
}

std::int64_t prices::slots_of(const shape& of, const standing& node) {
  std::int64_t slots = std::numeric_limits<std::int32_t>::max();
  if (of.each.gpus > 0) {
    if (node.idle < of.each.gpus || (node.models & of.models) == 0) return 0;
    slots = node.idle / of.each.gpus;
  }
  if (of.each.cpu_milli > 0)
    slots = std::min<std::int64_t>(slots, node.cpu_milli / of.each.cpu_milli);
  if (of.each.memory_mib > 0)
    slots = std::min<std::int64_t>(slots, node.memory_mib / of.each.memory_mib);
  return slots;
}

void prices::count_heavier(std::vector<shape>& all, const std::vector<shape>& seen) {
  for (auto& one : all)
    for (const auto& other : seen) {
      const auto& most = other.each;
      const auto& least = one.each;
      if (most != least && most.gpus == least.gpus && most.cpu_milli >= least.cpu_milli
          && most.memory_mib >= least.memory_mib)
        one.count += other.count;
    }
}

prices::verdict prices::weigh(const inventory& nodes) {
  verdict moved_by;
  if (gpu_milli_ == 0) return moved_by;
  presume(nodes);
  std::vector<shape> gangs = gangs_;
  gangs.insert(gangs.end(), presumed_.begin(), presumed_.end());
  auto hosts_only = hosts_only_;
  std::array<std::int64_t, 64> idle_by_model{};
  std::vector<std::pair<node_id, standing>> hosts;
  capacity there;
  for (node_id node = 0; node < nodes.size(); ++node) {
    const auto& row = nodes.row(node);
    if (row.flags != 0) continue;
    const auto milli = nodes.milli(node);
    const auto& kind = nodes.kind(node);
    const standing now{row.cpu_milli, row.memory_mib, static_cast<std::int32_t>(nodes.idle(node)),
                       kind.models};
    there.cpu_milli += kind.cpu_milli;
    there.gpu_milli += 1000 * row.devices;
    for (std::size_t i = 0; i < milli.size(); ++i)
      idle_by_model[kind.model[i]] += milli[i];
    for (auto& one : hosts_only)
      one.slots += slots_of(one, now);
    hosts.emplace_back(node, now);
    if (now.idle < 2) continue;
    for (auto& one : gangs)
      one.slots += slots_of(one, now);
  }
  // Arrivals still to be expected before the cluster is full, per arrival so far.
  const auto idle = std::accumulate(idle_by_model.begin(), idle_by_model.end(), std::int64_t{0});
  const double ahead = static_cast<double>(idle) / static_cast<double>(gpu_milli_);
  count_heavier(gangs, gangs_);
  count_heavier(hosts_only, hosts_only_);
  auto moved_shapes = reprice(priced_, std::move(gangs), ahead,
                              [](const need& each) { return static_cast<double>(each.milli()); });
  const auto gpu_per_cpu = static_cast<double>(there.gpu_milli)
                           / static_cast<double>(std::max<std::int64_t>(there.cpu_milli, 1));
  const auto moved_hosts =
      reprice(priced_hosts_, std::move(hosts_only), ahead,
              [&](const need& each) { return host_worth * gpu_per_cpu * each.cpu_milli; });
  moved_shapes.insert(moved_shapes.end(), moved_hosts.begin(), moved_hosts.end());
  for (const auto& [node, standing] : hosts)
    if (std::any_of(moved_shapes.begin(), moved_shapes.end(),
                    [&, &now = standing](const shape& one) { return slots_of(one, now) > 0; }))
      moved_by.nodes.push_back(node);
  moved_by.models = reprice_groups(idle_by_model, ahead);
  return moved_by;
}

template <class Worth>
std::vector<prices::shape> prices::reprice(std::vector<shape>& known,
                                           std::vector<shape> all,
                                           double ahead,
                                           Worth&& worth) {
  std::vector<shape> priced;
  std::vector<shape> moved_shapes;
  for (auto& one : all) {
    const auto old = std::find_if(known.begin(), known.end(), [&](const shape& other) {
      return other.each == one.each && other.models == one.models;
    });
    const auto before = old == known.end() ? 0 : old->price;
    const auto now = static_cast<std::int64_t>(
        worth(one.each) * scarcity(static_cast<double>(one.count) * ahead, one.slots));
    one.price = moved(before, now) ? now : before;
    if (one.price != before) moved_shapes.push_back(one);
    if (one.price > 0) priced.push_back(one);
  }
  known = std::move(priced);
  return moved_shapes;
}

bool prices::reprice_groups(const std::array<std::int64_t, 64>& idle_by_model, double ahead) {
  bool changed = false;
  for (auto& one : groups_) {
    std::uint64_t wanted = 0;
    for (const auto& other : groups_)
      if ((other.models & ~one.models) == 0) wanted += other.milli;
    std::int64_t there = 0;
    for (std::size_t model = 0; model < idle_by_model.size(); ++model)
      if ((one.models >> model & 1) != 0) there += idle_by_model[model];
    const double ratio = std::min(1.0, static_cast<double>(wanted) * ahead
                                           / static_cast<double>(std::max<std::int64_t>(there, 1)));
    const auto now = static_cast<std::int32_t>(1000 * ratio);
    if (!moved(one.price, now)) continue;
    one.price = now;
    changed = true;
  }
  return changed;
}

std::int64_t prices::slots_lost(const standing& before, const standing& after) const {
  const auto dearest = [&](const std::vector<shape>& priced) {
    std::int64_t lost = 0;
    for (const auto& one : priced) {
      const auto had = slots_of(one, before);
      if (had > 0) lost = std::max(lost, one.price * (had - slots_of(one, after)));
    }
    return lost;
  };
  return (before.idle < 2 ? 0 : dearest(priced_)) + dearest(priced_hosts_);
}

std::int32_t prices::model_price(std::uint8_t model, std::uint64_t models) const {
  std::int32_t price = 0;
  for (const auto& one : groups_)
    if ((one.models >> model & 1) != 0 && (models & ~one.models) != 0)
      price = std::max(price, one.price);
  return price;
}

}  // namespace berth::sched
