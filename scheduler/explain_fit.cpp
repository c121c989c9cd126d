#include "scheduler/feasible.hpp"
#include "scheduler/gang.hpp"
#include "scheduler/placement.hpp"
#include "scheduler/spread_book.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace berth::sched {
namespace {

std::uint64_t suitable_devices(const node_kind& kind, const asked& of) {
  std::uint64_t mask = 0;
  for (std::size_t i = 0; i < kind.model.size(); ++i)
    if ((of.models >> kind.model[i] & 1) != 0) mask |= std::uint64_t{1} << i;
  return mask;
}

/// How many of the devices have the memory asked for when nobody holds any of it.
int large_enough(const node_kind& kind, const asked& of, std::uint64_t suitable) {
  int count = 0;
  for (; suitable != 0; suitable &= suitable - 1)
    count += kind.device_memory_mib[static_cast<std::size_t>(std::countr_zero(suitable))]
                     >= of.each.device_memory_mib
                 ? 1
                 : 0;
  return count;
}

obstacle first_obstacle(const inventory& nodes,
                        const asked& of,
                        const spread_book& book,
                        const node_mask* allowed,
                        node_id node) {
  const auto& row = nodes.row(node);
  const auto& kind = nodes.kind(node);
  const auto& each = of.each;
  if (row.flags != 0) return obstacle::condition;
  if (allowed != nullptr && (*allowed)[node] == 0) return obstacle::barred;
  for (const auto& wish : of.labels)
    if (!satisfies(nodes, node, wish)) return obstacle::labels;
  if (each.gpus > 0) {
    const auto suitable = suitable_devices(kind, of);
    if (suitable == 0) return row.devices == 0 ? obstacle::devices : obstacle::model;
    if (std::popcount(suitable) < each.gpus) return obstacle::devices;
    if (large_enough(kind, of, suitable) < each.gpus) return obstacle::capacity;
  }
  if (kind.cpu_milli < each.cpu_milli || kind.memory_mib < each.memory_mib)
    return obstacle::capacity;
  if (book.left(nodes, node) == 0) return obstacle::spread;
  if (row.cpu_milli < each.cpu_milli) return obstacle::cpu;
  if (row.memory_mib < each.memory_mib) return obstacle::memory;
  if (each.gpus == 0 || has_room(nodes, of, node)) return obstacle::none;
  auto without = of;
  without.each.device_memory_mib = 0;
  return has_room(nodes, without, node) ? obstacle::device_memory : obstacle::gpu;
}

/// What is missing on a node even when it is empty.
need shortage_when_empty(const node_kind& kind, const asked& of) {
  need missing = of.each;
  missing.cpu_milli = std::max(of.each.cpu_milli - kind.cpu_milli, 0);
  missing.memory_mib = std::max(of.each.memory_mib - kind.memory_mib, 0);
  const int there = large_enough(kind, of, suitable_devices(kind, of));
  missing.gpus = static_cast<std::uint16_t>(std::max(of.each.gpus - there, 0));
  return missing;
}

/// What is missing on a node; GPU in devices of the asked size.
need shortage(const inventory& nodes, const asked& of, node_id node) {
  const auto& row = nodes.row(node);
  need missing = of.each;
  missing.cpu_milli = std::max(of.each.cpu_milli - row.cpu_milli, 0);
  missing.memory_mib = std::max(of.each.memory_mib - row.memory_mib, 0);
  const auto usable = of.each.gpus == 0 ? 0 : std::popcount(usable_devices(nodes, of, node));
  missing.gpus = static_cast<std::uint16_t>(std::max(of.each.gpus - usable, 0));
  return missing;
}

/// One number to compare shortages by: the share of the demand that is missing, GPU first.
double weight_of(const need& missing, const need& each) {
  const auto part = [](double lacking, double of) { return of > 0 ? lacking / of : 0.0; };
  return 4 * part(missing.gpus, each.gpus) + part(missing.cpu_milli, each.cpu_milli)
         + part(missing.memory_mib, each.memory_mib);
}

}  // namespace

obstacle why_not(const inventory& nodes,
                 const demand& wanted,
                 node_id node,
                 const plan_options& options) {
  const spread_book book(nodes, wanted.spread, options.companions);
  return first_obstacle(nodes, compile(nodes, wanted), book, options.allowed, node);
}

fit_report explain_fit(const inventory& nodes, const demand& wanted, const plan_options& options) {
  fit_report report;
  const auto of = compile(nodes, wanted);
  const spread_book book(nodes, wanted.spread, options.companions);
  double least = 0;
  for (node_id node = 0; node < nodes.size(); ++node) {
    const auto why = first_obstacle(nodes, of, book, options.allowed, node);
    ++report.nodes_by[static_cast<std::size_t>(why)];
    const bool never =
        why == obstacle::model || why == obstacle::devices || why == obstacle::capacity;
    if (!never && why < obstacle::cpu) continue;
    const auto missing =
        never ? shortage_when_empty(nodes.kind(node), of) : shortage(nodes, of, node);
    const auto weight = weight_of(missing, of.each);
    const bool better =
        !report.nearest || std::pair(never, weight) < std::pair(report.missing_when_empty, least);
    if (!better) continue;
    report.nearest = node;
    report.missing = missing;
    report.missing_when_empty = never;
    least = weight;
  }
  return report;
}

bool fits_idle(const inventory& nodes, policy& by, const demand& wanted) {
  const bool anywhere = wanted.labels.empty() && !wanted.affinity && !wanted.gang
                        && (!wanted.spread || wanted.spread->force == strength::preferred);
  if (!anywhere) {
    auto one_by_one = wanted;
    if (one_by_one.spread && one_by_one.spread->force == strength::preferred)
      one_by_one.spread.reset();
    gang_search search(nodes, by, one_by_one, {}, occupancy::emptied);
    const auto ranks = wanted.gang ? wanted.gang->ranks_min : 1;
    return search.find(ranks, ranks).has_value();
  }
  const auto of = compile(nodes, wanted);
  for (std::size_t number = 0; number < nodes.kinds(); ++number) {
    const auto& kind = nodes.kind_at(number);
    if (nodes.nodes_of_kind(number) == 0) continue;
    if (kind.cpu_milli < of.each.cpu_milli || kind.memory_mib < of.each.memory_mib) continue;
    if (of.each.gpus == 0) return true;
    if (large_enough(kind, of, suitable_devices(kind, of)) >= of.each.gpus) return true;
  }
  return false;
}

}  // namespace berth::sched
