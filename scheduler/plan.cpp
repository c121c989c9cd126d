#include "scheduler/cap_book.hpp"
#include "scheduler/feasible.hpp"
#include "scheduler/gang.hpp"
#include "scheduler/inventory.hpp"
#include "scheduler/placement.hpp"
#include "scheduler/policy.hpp"
#include "scheduler/spread_book.hpp"

#include <algorithm>
#include <bit>
#include <fmt/format.h>

namespace berth::sched {
namespace {

error_info bad(const demand& wanted, const std::string& what) {
  return fail(kind::invalid, "bad_demand", fmt::format("\"{}\": {}", wanted.name, what));
}

error_info refusal(inventory& nodes, policy& by, const demand& wanted) {
  if (fits_idle(nodes, by, wanted))
    return fail(
        kind::overloaded, "no_room",
        fmt::format("\"{}\" fits this cluster, but not while the present work runs; it can wait",
                    wanted.name));
  return fail(kind::invalid, "never_fits",
              fmt::format("\"{}\" would not fit this cluster even if nothing else ran and no node "
                          "were drained; ask for "
                          "less, or add nodes",
                          wanted.name));
}

/// Whether some nodes are to be tried before others.
bool has_preferences(const demand& wanted) {
  return !wanted.artifacts.empty()
         || std::any_of(wanted.labels.begin(), wanted.labels.end(),
                        [](const label_wish& wish) { return wish.force == strength::preferred; });
}

/// Whether the demand has no wishes beyond what a policy's filter knows.
bool is_plain(const demand& wanted) {
  return wanted.replicas == 1 && !wanted.gang && !wanted.affinity && !wanted.spread
         && !has_preferences(wanted);
}

/// Keeps the plan of one replica on the nearest devices of its node; same node, same count, so the policy's reasons
/// hold unchanged.
slot nearest_devices(const inventory& nodes, const demand& wanted, slot chosen) {
  if (wanted.each.gpus < 2 || nodes.kind(chosen.node).alike) return chosen;
  const auto usable = usable_devices(nodes, compile(nodes, wanted), chosen.node);
  chosen.devices = nearest_set(nodes.kind(chosen.node), usable, wanted.each.gpus).devices;
  return chosen;
}

/// The masks to try in order: all preferences kept, then those for labels alone, then none.
std::vector<node_mask> preference_masks(const inventory& nodes,
                                        const demand& wanted,
                                        const node_mask* allowed) {
  node_mask open(nodes.size() + score_mask_padding);
  for (node_id node = 0; node < nodes.size(); ++node)
    open[node] = allowed == nullptr ? 0xFF : (*allowed)[node];
  std::vector<node_mask> masks{open};
  const auto narrow = [&](auto&& keeps) {
    node_mask fewer = masks.front();
    for (node_id node = 0; node < nodes.size(); ++node)
      if (fewer[node] != 0 && !keeps(node)) fewer[node] = 0;
    masks.insert(masks.begin(), std::move(fewer));
  };
  const auto preferred = [](const label_wish& wish) { return wish.force == strength::preferred; };
  if (std::any_of(wanted.labels.begin(), wanted.labels.end(), preferred))
    narrow([&](node_id node) {
      return std::all_of(wanted.labels.begin(), wanted.labels.end(), [&](const label_wish& wish) {
        return wish.force == strength::required || satisfies(nodes, node, wish);
      });
    });
  if (!wanted.artifacts.empty())
    narrow([&](node_id node) {
      return std::all_of(wanted.artifacts.begin(), wanted.artifacts.end(),
                         [&](const std::string& digest) { return nodes.holds(node, digest); });
    });
  return masks;
}

std::optional<slot> choose_one(inventory& nodes,
                               policy& by,
                               const demand& wanted,
                               const node_mask& mask) {
  if (!wanted.affinity || wanted.each.gpus < 2) {
    if (const auto chosen = by.choose(nodes, wanted, &mask))
      return nearest_devices(nodes, wanted, *chosen);
    return std::nullopt;
  }
  auto alone = wanted;
  alone.spread.reset();
  const plan_options options{&mask, {}};
  if (auto found = gang_search(nodes, by, alone, options, occupancy::now).find(1, 1))
    return found->ranks.front();
  return std::nullopt;
}

/// Takes the nodes that a book has no more left for out of a mask.
template <class Book>
node_mask within(const Book& book, const inventory& nodes, node_mask mask) {
  if (!book.active()) return mask;
  for (node_id node = 0; node < nodes.size(); ++node)
    if (mask[node] != 0 && book.left(nodes, node) == 0) mask[node] = 0;
  return mask;
}

/// Replicas one by one, each reserved while the next is planned, everything given back at the end.
placement plan_replicas(inventory& nodes,
                        policy& by,
                        const demand& wanted,
                        const plan_options& options) {
  placement made{wanted.each, {}, proximity::device, 0};
  const auto masks = preference_masks(nodes, wanted, options.allowed);
  spread_book book(nodes, wanted.spread, options.companions);
  cap_book caps(options.caps, wanted.each);
  const bool may_drop_spread = wanted.spread && wanted.spread->force == strength::preferred;
  std::vector<claim> tentative;
  const auto next = [&]() -> std::optional<slot> {
    for (const bool spread : {true, false}) {
      if (!spread && !may_drop_spread) break;
      for (const auto& mask : masks) {
        const auto open = within(caps, nodes, mask);
        if (auto found = choose_one(nodes, by, wanted, spread ? within(book, nodes, open) : open))
          return found;
      }
    }
    return std::nullopt;
  };
  while (made.ranks.size() < wanted.replicas) {
    const auto found = next();
    if (!found) break;
    made.ranks.push_back(*found);
    book.add(nodes, found->node, 1);
    caps.add(nodes, found->node, 1);
    if (made.ranks.size() == wanted.replicas) break;
    tentative.push_back(nodes.reserve({wanted.each, {*found}, proximity::device, 0}).value());
  }
  while (!tentative.empty()) {
    nodes.release(tentative.back()).value();
    tentative.pop_back();
  }
  return made;
}

std::optional<placement> plan_gang(inventory& nodes,
                                   policy& by,
                                   const demand& wanted,
                                   const plan_options& options) {
  std::vector<node_mask> masks;
  if (has_preferences(wanted)) masks = preference_masks(nodes, wanted, options.allowed);
  const auto search = [&](const demand& asked_for) -> std::optional<placement> {
    for (std::size_t at = 0; at < std::max<std::size_t>(masks.size(), 1); ++at) {
      auto narrowed = options;
      if (!masks.empty()) narrowed.allowed = &masks[at];
      gang_search within(nodes, by, asked_for, narrowed, occupancy::now);
      if (auto found = within.find(wanted.gang->ranks_min, wanted.gang->ranks_max)) return found;
    }
    return std::nullopt;
  };
  auto found = search(wanted);
  if (found || !wanted.spread || wanted.spread->force == strength::required) return found;
  auto looser = wanted;
  looser.spread.reset();
  return search(looser);
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
  if (wanted.gang) {
    if (auto found = plan_gang(nodes, by, wanted, options)) return *std::move(found);
    return refusal(nodes, by, wanted);
  }
  placement made{wanted.each, {}, proximity::device, 0};
  if (is_plain(wanted) && options.caps.empty()) {
    if (const auto found = by.choose(nodes, wanted, options.allowed))
      made.ranks.push_back(nearest_devices(nodes, wanted, *found));
  } else {
    made = plan_replicas(nodes, by, wanted, options);
  }
  if (made.ranks.empty()) return refusal(nodes, by, wanted);
  if (made.ranks.size() > 1 || wanted.each.gpus > 1) measure(nodes, made);
  return made;
}

result<placement> plan_growth(inventory& nodes,
                              policy& by,
                              const demand& wanted,
                              const placement& held,
                              std::uint32_t more,
                              const plan_options& options) {
  if (auto checked = check(wanted); !checked) return std::move(checked).error();
  if (held.each != wanted.each || held.ranks.empty())
    return bad(wanted,
               "what is held is of another size than the demand; grow it by the demand it was "
               "started with");
  gang_search search(nodes, by, wanted, options, occupancy::now);
  if (auto found = search.grow(held, more)) return *std::move(found);
  return fail(
      kind::overloaded, "no_room",
      fmt::format("there is no room for another rank of \"{}\" now; it can wait", wanted.name));
}

void measure(const inventory& nodes, placement& placed) {
  placed.within = proximity::device;
  placed.mb_per_s_min = 0;
  if (placed.ranks.empty()) return;
  const auto& first = placed.ranks.front();
  std::uint64_t devices = 0;
  bool one_node = true;
  bool one_rack = true;
  bool one_zone = true;
  for (const auto& rank : placed.ranks) {
    devices |= rank.devices;
    one_node = one_node && rank.node == first.node;
    one_rack = one_rack && nodes.rack(rank.node) == nodes.rack(first.node);
    one_zone = one_zone && nodes.zone(rank.node) == nodes.zone(first.node);
  }
  if (!one_node) {
    placed.within = one_rack ? proximity::rack : one_zone ? proximity::zone : proximity::cluster;
  } else if (devices != 0) {
    const auto nearness = nearness_of(nodes.kind(first.node), devices);
    placed.within = level_of(nearness);
    placed.mb_per_s_min = mb_per_s_of(nearness);
  } else if (placed.ranks.size() > 1) {
    placed.within = proximity::node;
  }
}

}  // namespace berth::sched
