#include "scheduler/feasible.hpp"
#include "scheduler/inventory.hpp"
#include "scheduler/placement.hpp"
#include "scheduler/policy.hpp"

#include <algorithm>
#include <bit>
#include <fmt/format.h>
#include <map>

namespace berth::sched {
namespace {

error_info bad(const demand& wanted, std::string what) {
  return fail(kind::invalid, "bad_demand", fmt::format("\"{}\": {}", wanted.name, what));
}

}  // namespace

result<void> check(const demand& wanted) {
  const auto& each = wanted.each;
  if (each.cpu_milli < 0)
    return bad(wanted, fmt::format("cpu_milli is {}; it must not be negative", each.cpu_milli));
  if (each.memory_mib < 0)
    return bad(wanted, fmt::format("memory_mib is {}; it must not be negative", each.memory_mib));
  if (each.gpus > 64)
    return bad(wanted, fmt::format("{} devices a replica; a node has at most 64", each.gpus));
  if (each.gpus == 0 && (each.gpu_milli != 0 || each.device_memory_mib != 0))
    return bad(wanted, "a share of no device; ask for gpus = 1 with it");
  if (each.gpus > 0 && (each.gpu_milli == 0 || each.gpu_milli > 1000))
    return bad(wanted, fmt::format("gpu_milli is {}; it lies between 1 and 1000", each.gpu_milli));
  if (each.gpus > 1 && each.gpu_milli != 1000)
    return bad(wanted, fmt::format("a share ({} milli) is of one device, not of {}", each.gpu_milli,
                                   each.gpus));
  if (wanted.gang
      && (wanted.gang->ranks_min == 0 || wanted.gang->ranks_min > wanted.gang->ranks_max))
    return bad(wanted, fmt::format("a gang of {} to {} ranks; it needs 1 <= min <= max",
                                   wanted.gang->ranks_min, wanted.gang->ranks_max));
  if (!wanted.gang && wanted.replicas == 0)
    return bad(wanted, "no replicas asked for; ask for at least one");
  if (wanted.spread && wanted.spread->per_domain_max == 0)
    return bad(wanted, "per_domain_max is 0, which admits no replica anywhere");
  return {};
}

result<placement> plan(inventory& nodes,
                       policy& by,
                       const demand& wanted,
                       const plan_options& options) {
  if (auto checked = check(wanted); !checked) return std::move(checked).error();
  placement made{wanted.each, {}, proximity::device, 0};
  if (const auto found = by.choose(nodes, wanted, options.allowed)) {
    made.ranks.push_back(*found);
    return made;
  }
  return fail(kind::overloaded, "no_room", "no node has room now");
}

void measure(const inventory& nodes, placement& placed) {
  (void)nodes;
  (void)placed;
}

}  // namespace berth::sched
