#include "scheduler/gang.hpp"

#include "scheduler/policy.hpp"
#include "scheduler/spread_book.hpp"
#include "scheduler/state_memo.hpp"

#include <algorithm>
#include <bit>
#include <limits>

namespace berth::sched {
namespace {

constexpr std::uint32_t ranks_bound = 1U << 20;

/// How many times `each` goes into `left`, at most `most`; divides only when it has to.
std::uint32_t quotient(std::int64_t left, std::int64_t each, std::uint32_t most) {
  if (left >= each * most) return most;
  return left <= 0 ? 0
                   : static_cast<std::uint32_t>(static_cast<std::uint32_t>(left)
                                                / static_cast<std::uint32_t>(each));
}

}  // namespace

gang_search::gang_search(const inventory& nodes,
                         policy& by,
                         const demand& wanted,
                         const plan_options& options,
                         occupancy at)
    : nodes_(nodes),
      by_(by),
      wanted_(wanted),
      options_(options),
      at_(at),
      of_(compile(nodes, wanted)),
      caps_(options.caps, of_.each) {
  room_.resize(nodes.size());
  const std::uint32_t whole = of_.each.gpu_milli == 1000 ? of_.each.gpus : 0;
  const spread_book book(nodes, wanted.spread, options.companions);
  auto caps = caps_;
  for (node_id node = 0; node < nodes.size(); ++node) {
    if (at == occupancy::now && whole > nodes.idle(node)) continue;
    auto room = room_of(node);
    if (book.active() && room > 0) room = std::min(room, book.left(nodes, node));
    if (caps_.active()) room = std::min(room, caps_.left(nodes, node));
    if (room == 0) continue;
    room_[node] = room;
    hosts_.push_back(node);
    const auto counted = caps.active() ? std::min(room, caps.left(nodes, node)) : room;
    caps.add(nodes, node, counted);
    total_ += counted;
    most_ = std::max(most_, room);
  }
}

std::uint64_t gang_search::usable(node_id node) const {
  if (at_ == occupancy::now) return usable_devices(nodes_, of_, node);
  const auto& kind = nodes_.kind(node);
  std::uint64_t mask = 0;
  for (std::size_t i = 0; i < kind.model.size(); ++i)
    if ((of_.models >> kind.model[i] & 1) != 0
        && kind.device_memory_mib[i] >= of_.each.device_memory_mib)
      mask |= std::uint64_t{1} << i;
  return mask;
}

std::uint32_t gang_search::shares_on(node_id node, std::uint64_t devices) const {
  const auto milli = nodes_.milli(node);
  const auto memory = nodes_.device_memory(node);
  std::uint32_t shares = 0;
  for (; devices != 0; devices &= devices - 1) {
    const auto i = static_cast<std::size_t>(std::countr_zero(devices));
    const auto left = at_ == occupancy::now ? milli[i] : 1000;
    const auto memory_left =
        at_ == occupancy::now ? memory[i] : nodes_.kind(node).device_memory_mib[i];
    shares +=
        quotient(memory_left, of_.each.device_memory_mib, quotient(left, of_.each.gpu_milli, 1000));
  }
  return shares;
}

std::uint32_t gang_search::room_of(node_id node) const {
  const auto& row = nodes_.row(node);
  const auto& each = of_.each;
  if (at_ == occupancy::now && row.flags != 0) return 0;
  if (nodes_.condition(node) == node_condition::gone) return 0;
  if (at_ == occupancy::now && options_.allowed != nullptr && (*options_.allowed)[node] == 0)
    return 0;
  std::uint32_t most = ranks_bound;
  if (each.gpus > 0) {
    if (row.devices < each.gpus || (nodes_.kind(node).models & of_.models) == 0) return 0;
    const auto devices = usable(node);
    const auto count = static_cast<std::uint32_t>(std::popcount(devices));
    most = each.gpu_milli < 1000 ? shares_on(node, devices)
           : each.gpus == 1      ? count
                                 : count / each.gpus;
  }
  if (most == 0) return 0;
  const auto cpu = at_ == occupancy::now ? row.cpu_milli : nodes_.kind(node).cpu_milli;
  const auto memory = at_ == occupancy::now ? row.memory_mib : nodes_.kind(node).memory_mib;
  most = quotient(memory, each.memory_mib, quotient(cpu, each.cpu_milli, most));
  const auto unwelcome = [&](const label_wish& wish) { return !satisfies(nodes_, node, wish); };
  return most > 0 && std::any_of(of_.labels.begin(), of_.labels.end(), unwelcome) ? 0 : most;
}

std::uint32_t gang_search::domain_of(node_id node, domain_level level) const {
  switch (level) {
    case domain_level::rack:
      return nodes_.rack(node);
    case domain_level::zone:
      return nodes_.zone(node);
    case domain_level::cluster:
      break;
  }
  return 0;
}

std::optional<placement> gang_search::find(std::uint32_t ranks_min, std::uint32_t ranks_max) {
  if (total_ < ranks_min) return std::nullopt;
  const auto floor = wanted_.affinity && wanted_.affinity->force == strength::required
                         ? wanted_.affinity->within
                         : proximity::cluster;
  auto ranks = static_cast<std::uint32_t>(std::min<std::uint64_t>(ranks_max, total_));
  if (floor != proximity::cluster) ranks = std::min(ranks, largest_within(floor, ranks));
  if (ranks < ranks_min) return std::nullopt;
  if (auto found = at_nearest(ranks, floor)) return found;
  // Whatever holds a number of ranks holds fewer, so the largest that fits is found by halving.
  std::optional<placement> best;
  for (auto low = ranks_min, high = ranks; low < high;) {
    const auto middle = low + (high - low) / 2;
    if (auto found = at_nearest(middle, floor)) {
      best = std::move(found);
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return best;
}

/// No more ranks than this fit within one domain of the required level.
std::uint32_t gang_search::largest_within(proximity floor, std::uint32_t ranks_max) {
  auto most = most_;
  if (floor < proximity::node)
    for (const auto sum : sums(floor == proximity::rack ? domain_level::rack : domain_level::zone))
      most = std::max(most, sum);
  return std::min(most, ranks_max);
}

std::optional<placement> gang_search::at_nearest(std::uint32_t ranks, proximity floor) {
  if (auto found = inside_one_node(ranks, floor)) return found;
  for (const auto& [level, reached] : {std::pair{domain_level::rack, proximity::rack},
                                       std::pair{domain_level::zone, proximity::zone},
                                       std::pair{domain_level::cluster, proximity::cluster}}) {
    if (reached < floor) break;
    if (auto found = inside_one_domain(ranks, level)) return found;
  }
  return std::nullopt;
}

// --- one node ----------------------------------------------------------------------------------------------------

near_set gang_search::inside(node_id node, std::uint32_t ranks) {
  const auto& each = of_.each;
  if (each.gpus == 0)
    return {0, ranks == 1 ? nearness_of_one : static_cast<std::uint32_t>(proximity::node) << 24};
  const auto& kind = nodes_.kind(node);
  const auto devices = usable(node);
  if (each.gpu_milli < 1000) {
    for (std::uint32_t count = 1; count <= static_cast<std::uint32_t>(std::popcount(devices));
         ++count)
      for (auto rest = devices; std::popcount(rest) >= static_cast<int>(count); rest &= rest - 1)
        if (const auto set = nearest_set(kind, rest, count); shares_on(node, set.devices) >= ranks)
          return set;
    return {devices, nearness_of(kind, devices)};
  }
  const auto count = ranks * each.gpus;
  if (kind.alike || count <= 1) return nearest_set(kind, devices, count);
  const auto key = state_memo::mixed(devices)
                   ^ (static_cast<std::uint64_t>(nodes_.row(node).kind) << 32 | count);
  const auto known = known_.find(key);
  if (known != known_.end()) return known->second;
  return known_.emplace(key, nearest_set(kind, devices, count)).first->second;
}

std::optional<placement> gang_search::inside_one_node(std::uint32_t ranks, proximity floor) {
  std::uint32_t best = 0;
  std::vector<node_id> candidates;
  if (most_ < ranks) return std::nullopt;
  for (const auto node : hosts_) {
    if (room_[node] < ranks) continue;
    const auto reached = inside(node, ranks).nearness;
    if (reached < best || level_of(reached) < floor) continue;
    if (reached > best) candidates.clear();
    best = reached;
    candidates.push_back(node);
  }
  const auto node = choose_node(ranks, candidates);
  if (!node) return std::nullopt;
  return finished({{*node, ranks}});
}

/// Asks the policy about one replica as large as all ranks together.
std::optional<node_id> gang_search::choose_node(std::uint32_t ranks,
                                                const std::vector<node_id>& candidates) {
  if (candidates.empty()) return std::nullopt;
  if (candidates.size() == 1 || at_ == occupancy::emptied) return candidates.front();
  const auto& each = of_.each;
  if (each.gpu_milli < 1000 && each.gpus > 0 && ranks > 1)
    return *std::min_element(candidates.begin(), candidates.end(),
                             [&](node_id one, node_id two) { return room_[one] < room_[two]; });
  demand whole = wanted_;
  whole.each.cpu_milli = static_cast<std::int32_t>(each.cpu_milli * ranks);
  whole.each.memory_mib = static_cast<std::int32_t>(each.memory_mib * ranks);
  whole.each.gpus = static_cast<std::uint16_t>(each.gpus * ranks);
  node_mask only(nodes_.size() + score_mask_padding);
  for (const auto node : candidates)
    only[node] = 0xFF;
  const auto chosen = by_.choose(nodes_, whole, &only);
  return chosen ? chosen->node : candidates.front();
}

// --- several nodes -----------------------------------------------------------------------------------------------

std::vector<std::uint32_t> gang_search::sums(domain_level level) const {
  std::vector<std::uint32_t> sum(level == domain_level::cluster ? 1
                                 : level == domain_level::rack  ? nodes_.domains("rack")
                                                                : nodes_.domains("zone"));
  std::vector<cap_book> caps(caps_.active() ? sum.size() : 0, caps_);
  for (const auto node : hosts_)
    if (const auto domain = domain_of(node, level); domain < sum.size()) {
      auto room = room_[node];
      if (caps_.active()) {
        room = std::min(room, caps[domain].left(nodes_, node));
        caps[domain].add(nodes_, node, room);
      }
      sum[domain] = std::min(sum[domain] + room, std::numeric_limits<std::uint32_t>::max() / 2);
    }
  return sum;
}

std::vector<gang_search::taken> gang_search::fill(std::vector<node_id> members,
                                                  std::uint32_t ranks) const {
  std::sort(members.begin(), members.end(), [&](node_id one, node_id two) {
    return room_[one] != room_[two] ? room_[one] > room_[two] : one < two;
  });
  spread_book book(nodes_, wanted_.spread, options_.companions);
  auto caps = caps_;
  std::vector<taken> parts;
  for (std::size_t at = 0; at < members.size() && ranks > 0; ++at) {
    auto node = members[at];
    if (!book.active() && !caps.active() && room_[node] >= ranks) {
      // The last part goes where it fits tightest.
      while (at + 1 < members.size() && room_[members[at + 1]] >= ranks)
        node = members[++at];
    }
    auto part = std::min(room_[node], ranks);
    if (book.active()) part = std::min(part, book.left(nodes_, node));
    if (caps.active()) part = std::min(part, caps.left(nodes_, node));
    if (part == 0) continue;
    book.add(nodes_, node, part);
    caps.add(nodes_, node, part);
    parts.push_back({node, part});
    ranks -= part;
  }
  if (ranks > 0) parts.clear();
  return parts;
}

/// The domain with room that needs the fewest nodes, then the one with the least to spare; its number, or nothing.
std::optional<std::uint32_t> gang_search::tightest_domain(
    std::uint32_t ranks, domain_level level, const std::vector<std::uint32_t>& sum) const {
  // How many nodes of each domain have room for so many ranks; rooms beyond the last column count as that.
  const std::size_t columns = std::min<std::size_t>(ranks, 64) + 1;
  std::vector<std::uint32_t> nodes_with(sum.size() * columns);
  for (const auto node : hosts_)
    if (const auto domain = domain_of(node, level); domain < sum.size() && sum[domain] >= ranks)
      ++nodes_with[domain * columns + std::min<std::size_t>(room_[node], columns - 1)];
  std::optional<std::uint32_t> best;
  std::uint32_t fewest = 0;
  for (std::uint32_t domain = 0; domain < sum.size(); ++domain) {
    if (sum[domain] < ranks) continue;
    std::uint32_t needed = 0;
    auto left = static_cast<std::int64_t>(ranks);
    for (std::size_t room = columns - 1; room > 0 && left > 0; --room) {
      const auto step = static_cast<std::int64_t>(room);
      const auto taken =
          std::min<std::int64_t>(nodes_with[domain * columns + room], (left + step - 1) / step);
      needed += static_cast<std::uint32_t>(taken);
      left -= taken * step;
    }
    if (best && (needed > fewest || (needed == fewest && sum[domain] >= sum[*best]))) continue;
    best = domain;
    fewest = needed;
  }
  return best;
}

std::optional<placement> gang_search::inside_one_domain(std::uint32_t ranks, domain_level level) {
  const auto sum = sums(level);
  const auto members = [&](std::uint32_t domain) {
    std::vector<node_id> found;
    for (const auto node : hosts_)
      if (domain_of(node, level) == domain) found.push_back(node);
    return found;
  };
  if (!wanted_.spread) {
    const auto domain = tightest_domain(ranks, level, sum);
    if (!domain) return std::nullopt;
    return finished(fill(members(*domain), ranks));
  }
  for (std::uint32_t domain = 0; domain < sum.size(); ++domain)
    if (sum[domain] >= ranks)
      if (const auto parts = fill(members(domain), ranks); !parts.empty()) return finished(parts);
  return std::nullopt;
}

// --- ranks -------------------------------------------------------------------------------------------------------

void gang_search::add_shares(placement& to,
                             node_id node,
                             std::uint64_t devices,
                             std::uint32_t ranks) const {
  for (const auto device : rank_order(nodes_.kind(node), devices)) {
    const auto one = std::uint64_t{1} << device;
    for (auto shares = shares_on(node, one); shares > 0 && ranks > 0; --shares, --ranks)
      to.ranks.push_back({node, one});
  }
}

void gang_search::add_ranks(placement& to, node_id node, std::uint32_t ranks) {
  const auto& each = of_.each;
  const auto set = inside(node, ranks).devices;
  if (each.gpus > 0 && each.gpu_milli < 1000) return add_shares(to, node, set, ranks);
  const auto& kind = nodes_.kind(node);
  if (each.gpus == 0) {
    to.ranks.insert(to.ranks.end(), ranks, slot{node, 0});
    return;
  }
  const auto order = rank_order(kind, set);
  if (each.gpus == 1) {
    for (const auto device : order)
      to.ranks.push_back({node, std::uint64_t{1} << device});
    return;
  }
  std::uint64_t left = set;
  const auto first = to.ranks.size();
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    const auto own = nearest_set(kind, left, each.gpus).devices;
    to.ranks.push_back({node, own});
    left &= ~own;
  }
  const auto position = [&](const slot& of) {
    return std::find_if(order.begin(), order.end(),
                        [&](std::uint8_t device) { return (of.devices >> device & 1) != 0; });
  };
  std::sort(to.ranks.begin() + static_cast<std::ptrdiff_t>(first), to.ranks.end(),
            [&](const slot& one, const slot& two) { return position(one) < position(two); });
}

std::optional<placement> gang_search::finished(const std::vector<taken>& parts) {
  auto ordered = parts;
  std::sort(ordered.begin(), ordered.end(), [&](const taken& one, const taken& two) {
    return std::tuple(nodes_.zone(one.node), nodes_.rack(one.node), one.node)
           < std::tuple(nodes_.zone(two.node), nodes_.rack(two.node), two.node);
  });
  placement made{of_.each, {}, proximity::device, 0};
  for (const auto& part : ordered)
    add_ranks(made, part.node, part.ranks);
  measure(nodes_, made);
  return made;
}

std::optional<placement> gang_search::grow(const placement& held, std::uint32_t more) {
  const auto floor = wanted_.affinity && wanted_.affinity->force == strength::required
                         ? wanted_.affinity->within
                         : proximity::cluster;
  placement grown{of_.each, {}, proximity::device, 0};
  auto all = held;
  const auto nearest_to_held = [&](node_id node) {
    auto nearest = proximity::cluster;
    for (const auto& rank : held.ranks)
      nearest =
          std::max(nearest, rank.node == node                             ? proximity::node
                            : nodes_.rack(rank.node) == nodes_.rack(node) ? proximity::rack
                            : nodes_.zone(rank.node) == nodes_.zone(node) ? proximity::zone
                                                                          : proximity::cluster);
    return nearest;
  };
  std::vector<std::pair<proximity, node_id>> order;
  for (const auto node : hosts_)
    order.emplace_back(nearest_to_held(node), node);
  std::stable_sort(order.begin(), order.end(), [&](const auto& one, const auto& two) {
    return one.first != two.first ? one.first > two.first : room_[one.second] > room_[two.second];
  });
  std::vector<slot> company(options_.companions.begin(), options_.companions.end());
  company.insert(company.end(), held.ranks.begin(), held.ranks.end());
  spread_book book(nodes_, wanted_.spread, company);
  auto caps = caps_;
  for (const auto& [reached, node] : order) {
    auto part = std::min<std::uint32_t>(room_[node], more);
    if (book.active()) part = std::min(part, book.left(nodes_, node));
    if (caps.active()) part = std::min(part, caps.left(nodes_, node));
    for (; part > 0; --part) {
      auto tried = grown;
      add_ranks(tried, node, part);
      auto together = held;
      together.ranks.insert(together.ranks.end(), tried.ranks.begin(), tried.ranks.end());
      measure(nodes_, together);
      if (together.within < floor) continue;
      grown = std::move(tried);
      all = std::move(together);
      break;
    }
    book.add(nodes_, node, part);
    caps.add(nodes_, node, part);
    more -= part;
    if (more == 0) break;
  }
  if (grown.ranks.empty()) return std::nullopt;
  grown.within = all.within;
  grown.mb_per_s_min = all.mb_per_s_min;
  return grown;
}

}  // namespace berth::sched
