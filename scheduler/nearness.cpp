#include "scheduler/nearness.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <functional>

namespace berth::sched {
namespace {

constexpr std::size_t exact_order_max = 10;

std::uint32_t near(const node_kind& kind, std::size_t a, std::size_t b) {
  return kind.near[a * kind.model.size() + b];
}

std::size_t lowest(std::uint64_t devices) {
  return static_cast<std::size_t>(std::countr_zero(devices));
}

std::uint64_t lowest_bits(std::uint64_t devices, std::uint32_t count) {
  std::uint64_t taken = 0;
  for (; count > 0; --count, devices &= devices - 1)
    taken |= devices & ~(devices - 1);
  return taken;
}

/// Per device: the devices at least `least` near to it.
std::array<std::uint64_t, 64> neighbours(const node_kind& kind,
                                         std::uint64_t usable,
                                         std::uint32_t least) {
  std::array<std::uint64_t, 64> of{};
  for (auto a = usable; a != 0; a &= a - 1)
    for (auto b = usable; b != 0; b &= b - 1)
      if (lowest(a) != lowest(b) && near(kind, lowest(a), lowest(b)) >= least)
        of[lowest(a)] |= std::uint64_t{1} << lowest(b);
  return of;
}

/// The lowest `count` pairwise neighbours among `open`, or 0.
std::uint64_t clique(const std::array<std::uint64_t, 64>& of,
                     std::uint64_t open,
                     std::uint32_t count) {
  if (count == 0) return 0;
  for (auto rest = open; std::popcount(rest) >= static_cast<int>(count); rest &= rest - 1) {
    const auto first = rest & ~(rest - 1);
    if (count == 1) return first;
    const auto others = clique(of, rest & of[lowest(rest)], count - 1);
    if (others != 0) return first | others;
  }
  return 0;
}

/// The connected groups of a neighbour relation, fewest devices first.
std::vector<std::uint64_t> groups_of(const std::array<std::uint64_t, 64>& of,
                                     std::uint64_t usable) {
  std::vector<std::uint64_t> groups;
  while (usable != 0) {
    std::uint64_t group = usable & ~(usable - 1);
    for (std::uint64_t frontier = group; frontier != 0;) {
      std::uint64_t reached = 0;
      for (auto each = frontier; each != 0; each &= each - 1)
        reached |= of[lowest(each)];
      frontier = reached & ~group;
      group |= reached;
    }
    groups.push_back(group);
    usable &= ~group;
  }
  std::stable_sort(groups.begin(), groups.end(), [](std::uint64_t one, std::uint64_t two) {
    return std::popcount(one) < std::popcount(two);
  });
  return groups;
}

std::vector<std::uint32_t> distinct_nearness(const node_kind& kind, std::uint64_t usable) {
  std::vector<std::uint32_t> values;
  for (auto a = usable; a != 0; a &= a - 1)
    for (auto b = a & (a - 1); b != 0; b &= b - 1)
      values.push_back(near(kind, lowest(a), lowest(b)));
  std::sort(values.begin(), values.end(), std::greater<>());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

/// Best path over `devices` by the slowest step, then the sum of steps: Held and Karp's subset recursion.
std::vector<std::uint8_t> exact_order(const node_kind& kind,
                                      const std::vector<std::uint8_t>& devices) {
  struct path {
    std::uint32_t slowest = 0;
    std::uint64_t sum = 0;
    std::uint8_t before = 0;
  };

  const auto better = [](const path& one, const path& two) {
    return one.slowest != two.slowest ? one.slowest > two.slowest : one.sum > two.sum;
  };
  const std::size_t count = devices.size();
  std::vector<path> best((std::size_t{1} << count) * count);
  for (std::size_t end = 0; end < count; ++end)
    best[(std::size_t{1} << end) * count + end].slowest = nearness_of_one;
  for (std::size_t set = 1; set < std::size_t{1} << count; ++set)
    for (std::size_t end = 0; end < count; ++end) {
      const auto from = best[set * count + end];
      if ((set >> end & 1) == 0 || from.slowest == 0) continue;
      for (std::size_t next = 0; next < count; ++next) {
        if ((set >> next & 1) != 0) continue;
        const auto step = near(kind, devices[end], devices[next]);
        const path longer{std::min(from.slowest, step), from.sum + step,
                          static_cast<std::uint8_t>(end)};
        auto& known = best[(set | std::size_t{1} << next) * count + next];
        if (better(longer, known)) known = longer;
      }
    }
  std::size_t set = (std::size_t{1} << count) - 1;
  std::size_t end = 0;
  for (std::size_t other = 1; other < count; ++other)
    if (better(best[set * count + other], best[set * count + end])) end = other;
  std::vector<std::uint8_t> order;
  while (order.size() < count) {
    order.push_back(devices[end]);
    const auto before = best[set * count + end].before;
    set &= ~(std::size_t{1} << end);
    end = before;
  }
  if (order.front() > order.back()) std::reverse(order.begin(), order.end());
  return order;
}

}  // namespace

std::uint32_t nearness_of(const node_kind& kind, std::uint64_t devices) {
  std::uint32_t least = nearness_of_one;
  for (auto a = devices; a != 0; a &= a - 1)
    for (auto b = a & (a - 1); b != 0; b &= b - 1)
      least = std::min(least, near(kind, lowest(a), lowest(b)));
  return least;
}

near_set nearest_set(const node_kind& kind, std::uint64_t usable, std::uint32_t count) {
  if (count <= 1) return {lowest_bits(usable, count), nearness_of_one};
  if (kind.alike) return {lowest_bits(usable, count), near(kind, 0, 1)};
  for (const auto least : distinct_nearness(kind, usable)) {
    const auto of = neighbours(kind, usable, least);
    for (const auto group : groups_of(of, usable))
      if (const auto found = clique(of, group, count); found != 0) return {found, least};
  }
  return {};
}

std::vector<std::uint8_t> rank_order(const node_kind& kind, std::uint64_t devices) {
  std::vector<std::uint8_t> order;
  for (auto rest = devices; rest != 0; rest &= rest - 1)
    order.push_back(static_cast<std::uint8_t>(lowest(rest)));
  if (kind.alike || order.size() <= 2) return order;
  if (order.size() <= exact_order_max) return exact_order(kind, order);
  for (std::size_t at = 1; at + 1 < order.size(); ++at) {
    const auto next =
        std::max_element(order.begin() + static_cast<std::ptrdiff_t>(at), order.end(),
                         [&](std::uint8_t one, std::uint8_t two) {
                           return near(kind, order[at - 1], one) < near(kind, order[at - 1], two);
                         });
    std::iter_swap(order.begin() + static_cast<std::ptrdiff_t>(at), next);
  }
  return order;
}

}  // namespace berth::sched
