#include "runtime/base/topology.hpp"

#include <algorithm>
#include <utility>

namespace berth::base {

std::string_view to_string(proximity level) noexcept {
  switch (level) {
    case proximity::cluster:
      return "cluster";
    case proximity::zone:
      return "zone";
    case proximity::rack:
      return "rack";
    case proximity::node:
      return "node";
    case proximity::numa:
      return "NUMA domain";
    case proximity::pcie_switch:
      return "PCIe switch";
    case proximity::island:
      return "NVLink island";
    case proximity::device:
      return "device";
  }
  return "unknown";
}

std::uint32_t topology::bandwidth(std::size_t a, std::size_t b) const noexcept {
  if (a > b) std::swap(a, b);
  for (const auto& link : links)
    if (link.a == a && link.b == b) return link.mb_per_s;
  return 0;
}

proximity topology::between(std::size_t a, std::size_t b) const noexcept {
  if (a == b) return proximity::device;
  for (const auto& island : islands())
    if (std::binary_search(island.begin(), island.end(), a)
        && std::binary_search(island.begin(), island.end(), b))
      return proximity::island;
  const auto& one = devices[a];
  const auto& two = devices[b];
  if (one.pcie_switch >= 0 && one.pcie_switch == two.pcie_switch) return proximity::pcie_switch;
  if (one.numa >= 0 && one.numa == two.numa) return proximity::numa;
  return proximity::node;
}

std::vector<std::vector<std::uint16_t>> topology::islands() const {
  std::vector<std::uint16_t> root(devices.size());
  for (std::size_t i = 0; i < root.size(); ++i)
    root[i] = static_cast<std::uint16_t>(i);
  for (const auto& link : links) {
    const auto kept = std::min(root[link.a], root[link.b]);
    const auto gone = std::max(root[link.a], root[link.b]);
    std::replace(root.begin(), root.end(), gone, kept);
  }
  std::vector<std::vector<std::uint16_t>> found;
  for (std::size_t first = 0; first < root.size(); ++first) {
    if (root[first] != first) continue;
    std::vector<std::uint16_t> members;
    for (std::size_t i = first; i < root.size(); ++i)
      if (root[i] == first) members.push_back(static_cast<std::uint16_t>(i));
    if (members.size() > 1) found.push_back(std::move(members));
  }
  return found;
}

topology uniform_topology(std::size_t devices,
                          std::string model,
                          std::int64_t memory_mib,
                          std::uint32_t mb_per_s,
                          std::size_t numa) {
  topology made;
  made.numa.resize(std::max<std::size_t>(numa, 1));
  const std::size_t each = (devices + made.numa.size() - 1) / made.numa.size();
  for (std::size_t i = 0; i < devices; ++i)
    made.devices.push_back({model, "", memory_mib, static_cast<std::int32_t>(i / each), -1});
  if (mb_per_s == 0) return made;
  for (std::size_t a = 0; a < devices; ++a)
    for (std::size_t b = a + 1; b < devices; ++b)
      made.links.push_back(
          {static_cast<std::uint16_t>(a), static_cast<std::uint16_t>(b), mb_per_s});
  return made;
}

}  // namespace berth::base
