#pragma once
// Random clusters and demands for property tests. Everything follows from the seed.

#include "scheduler/inventory.hpp"
#include "scheduler/random_source.hpp"

#include <string>
#include <vector>

namespace berth::sched::testing_support {

/// The value, for statements that are about the effect.
template <class T>
void must(result<T> done) {
  static_cast<void>(std::move(done).value());
}

/// A machine of up to `devices_max` devices: one or two NUMA domains, switches of two, sometimes linked in islands.
inline base::topology random_topology(random_source& random, std::uint32_t devices_max) {
  base::topology made;
  const auto count = random.below(devices_max + 1);
  made.numa.resize(1 + random.below(2));
  const char* models[] = {"A", "B", "C"};
  const auto model = models[random.below(3)];
  for (std::uint32_t i = 0; i < count; ++i)
    made.devices.push_back({random.below(10) == 0 ? models[random.below(3)] : model, "", 16'384,
                            static_cast<std::int32_t>(i * made.numa.size() / count),
                            random.below(2) == 0 ? -1 : static_cast<std::int32_t>(i / 2)});
  const auto style = random.below(3);
  for (std::uint16_t a = 0; a < count; ++a)
    for (auto b = static_cast<std::uint16_t>(a + 1); b < count; ++b) {
      const bool linked = style == 1 ? a / 4 == b / 4 : style == 2 && random.below(3) == 0;
      if (linked) made.links.push_back({a, b, 10'000 * (1 + random.below(4))});
    }
  return made;
}

inline inventory random_cluster(random_source& random,
                                std::uint32_t nodes_max,
                                std::uint32_t devices_max) {
  inventory nodes;
  const auto count = 1 + random.below(nodes_max);
  for (std::uint32_t i = 0; i < count; ++i) {
    node_spec spec;
    spec.name = "n" + std::to_string(i);
    spec.cpu_milli = 1000 * (1 + random.below(64));
    spec.memory_mib = 1024 * (1 + random.below(64));
    spec.topology = random_topology(random, devices_max);
    if (random.below(5) > 0) spec.labels["rack"] = "r" + std::to_string(random.below(3));
    if (random.below(5) > 0) spec.labels["zone"] = "z" + std::to_string(random.below(2));
    if (random.below(3) == 0) spec.labels["disk"] = "fast";
    if (random.below(12) == 0) spec.condition = node_condition::drained;
    const auto node = nodes.add(spec).value();
    for (std::uint32_t device = 0; device < nodes.row(node).devices; ++device)
      if (random.below(15) == 0) nodes.set_healthy(node, device, false);
  }
  return nodes;
}

inline demand random_demand(random_source& random) {
  demand wanted;
  wanted.name = "w";
  wanted.each.cpu_milli = static_cast<std::int32_t>(500 * random.below(12));
  wanted.each.memory_mib = static_cast<std::int32_t>(256 * random.below(16));
  const auto kind = random.below(4);
  if (kind == 1) {
    wanted.each.gpus = 1;
    wanted.each.gpu_milli = static_cast<std::uint16_t>(50 * (1 + random.below(19)));
    wanted.each.device_memory_mib = 1024 * random.below(12);
  } else if (kind > 1) {
    wanted.each.gpus = static_cast<std::uint16_t>(1 + random.below(3));
    wanted.each.gpu_milli = 1000;
    wanted.each.device_memory_mib = random.below(2) * 8192;
  }
  if (random.below(4) == 0) wanted.models = {"A", "C"};
  if (random.below(6) == 0)
    wanted.labels.push_back({"disk", {"fast"}, label_wish::sense::among, strength::required});
  if (random.below(6) == 0)
    wanted.labels.push_back({"rack", {"r1"}, label_wish::sense::not_among, strength::preferred});
  if (random.below(3) == 0) {
    const auto least = 1 + random.below(4);
    wanted.gang = gang_wish{least, least + random.below(4)};
  } else {
    wanted.replicas = 1 + random.below(3);
  }
  const proximity levels[] = {proximity::zone, proximity::rack, proximity::node, proximity::numa,
                              proximity::island};
  if (random.below(4) == 0)
    wanted.affinity = affinity_wish{
        levels[random.below(5)], random.below(2) == 0 ? strength::required : strength::preferred};
  const char* domains[] = {"node", "rack", "zone"};
  if (random.below(5) == 0)
    wanted.spread = spread_wish{domains[random.below(3)], 1 + random.below(2),
                                random.below(2) == 0 ? strength::required : strength::preferred};
  return wanted;
}

/// What is left everywhere, for comparing inventories.
struct leftovers {
  std::vector<std::int64_t> numbers;
  friend bool operator==(const leftovers&, const leftovers&) = default;
};

inline leftovers left_of(const inventory& nodes) {
  leftovers made;
  for (node_id node = 0; node < nodes.size(); ++node) {
    made.numbers.insert(made.numbers.end(),
                        {nodes.row(node).cpu_milli, nodes.row(node).memory_mib, nodes.idle(node)});
    for (const auto milli : nodes.milli(node))
      made.numbers.push_back(milli);
    for (const auto memory : nodes.device_memory(node))
      made.numbers.push_back(memory);
  }
  return made;
}

}  // namespace berth::sched::testing_support
