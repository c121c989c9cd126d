#include "gpu/topology_reader.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <hwloc.h>
#include <hwloc/distances.h>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace berth::gpu {
namespace {

struct destroy_topology {
  void operator()(hwloc_topology_t machine) const noexcept { hwloc_topology_destroy(machine); }
};

using machine_ptr = std::unique_ptr<std::remove_pointer_t<hwloc_topology_t>, destroy_topology>;

// PCI vendor ids (pci-ids.ucw.cz).
constexpr unsigned nvidia = 0x10de;
constexpr unsigned amd = 0x1002;
constexpr unsigned intel = 0x8086;
constexpr unsigned display_class = 0x03;
constexpr unsigned vga_class = 0x0300;

error_info bad_xml(std::string why) {
  return fail(kind::invalid, "topology_xml",
              why + "; write the description with 'lstopo --of xml FILE' of hwloc 2");
}

machine_ptr new_machine() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) return nullptr;
  machine_ptr machine(raw);
  // Devices are left out by default, and with the default filter bridges that matter are kept.
  hwloc_topology_set_io_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
  hwloc_topology_set_icache_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_NONE);
  return machine;
}

/// The OS devices below a PCI device: what the vendors' interfaces call it.
template <class Visit>
void for_each_os_device(hwloc_obj_t pci, Visit&& visit) {
  for (hwloc_obj_t child = pci->io_first_child; child != nullptr; child = child->next_sibling)
    if (child->type == HWLOC_OBJ_OS_DEVICE) visit(child);
}

bool has_compute_interface(hwloc_obj_t pci) {
  bool found = false;
  for_each_os_device(pci, [&](hwloc_obj_t os) {
    const char* const backend = hwloc_obj_get_info_by_name(os, "Backend");
    found = found || os->attr->osdev.type == HWLOC_OBJ_OSDEV_COPROC
            || (os->attr->osdev.type == HWLOC_OBJ_OSDEV_GPU && backend != nullptr
                && std::strcmp(backend, "GL") != 0);
  });
  return found;
}

bool is_accelerator(hwloc_obj_t pci) {
  const auto& attr = pci->attr->pcidev;
  if ((attr.class_id >> 8) != display_class) return has_compute_interface(pci);
  if (attr.vendor_id == nvidia || attr.vendor_id == amd) return true;
  // Intel's VGA-class functions are the graphics part of a processor, its other display classes are cards.
  if (attr.vendor_id == intel && attr.class_id != vga_class) return true;
  return has_compute_interface(pci);
}

std::string pci_address(hwloc_obj_t pci) {
  const auto& at = pci->attr->pcidev;
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", at.domain, at.bus, at.dev, at.func);
}

std::string reported_model(hwloc_obj_t pci) {
  std::string model;
  for_each_os_device(pci, [&](hwloc_obj_t os) {
    const char* const said = hwloc_obj_get_info_by_name(os, "GPUModel");
    // Several interfaces may describe one device; the one that names a size says most.
    if (said != nullptr
        && (model.empty() || memory_mib_named_by(said) > memory_mib_named_by(model)))
      model = said;
  });
  if (!model.empty()) return model;
  const char* const said = hwloc_obj_get_info_by_name(pci, "PCIDevice");
  return said == nullptr ? std::string() : said;
}

std::int64_t reported_memory_mib(hwloc_obj_t pci) {
  std::int64_t kib = 0;
  for_each_os_device(pci, [&](hwloc_obj_t os) {
    for (const char* name : {"CUDAGlobalMemorySize", "RSMIVRAMSize", "OpenCLGlobalMemorySize",
                             "LevelZeroHBMSize", "LevelZeroDDRSize"})
      if (const char* const said = hwloc_obj_get_info_by_name(os, name))
        kib = std::max<std::int64_t>(kib, std::atoll(said));
  });
  return kib / 1024;
}

/// The NUMA domain a device hangs on; -1 when it hangs on several or none.
std::int32_t numa_of(hwloc_topology_t machine, hwloc_obj_t pci) {
  const hwloc_obj_t near = hwloc_get_non_io_ancestor_obj(machine, pci);
  if (near == nullptr || near->nodeset == nullptr || hwloc_bitmap_weight(near->nodeset) != 1)
    return -1;
  const auto node = hwloc_get_numanode_obj_by_os_index(
      machine, static_cast<unsigned>(hwloc_bitmap_first(near->nodeset)));
  return node == nullptr ? -1 : static_cast<std::int32_t>(node->logical_index);
}

/// The PCIe switch above a device: the topmost PCI-to-PCI bridge on its way to the host. hwloc's own common-ancestor
/// function does not hold for I/O objects, whose depth is virtual, so the parents are walked here.
struct bridge_path {
  hwloc_obj_t top = nullptr;
  int bridges = 0;
};

bridge_path bridges_above(hwloc_obj_t pci) {
  bridge_path path;
  for (hwloc_obj_t at = pci->parent; at != nullptr; at = at->parent) {
    if (at->type != HWLOC_OBJ_BRIDGE) continue;
    if (at->attr->bridge.upstream_type != HWLOC_OBJ_BRIDGE_PCI) continue;
    path.top = at;
    ++path.bridges;
  }
  return path;
}

/// Numbers the switches in the order of the devices. A root port with one device behind it is no switch.
void number_switches(const std::vector<hwloc_obj_t>& devices, base::topology& found) {
  std::map<hwloc_obj_t, int> below;
  for (const auto pci : devices)
    if (const auto path = bridges_above(pci); path.top != nullptr) ++below[path.top];
  std::map<hwloc_obj_t, std::int32_t> number;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const auto path = bridges_above(devices[i]);
    if (path.top == nullptr || (path.bridges < 2 && below[path.top] < 2)) continue;
    found.devices[i].pcie_switch =
        number.emplace(path.top, static_cast<std::int32_t>(number.size())).first->second;
  }
}

/// The device an object of a distance matrix stands for.
std::optional<std::size_t> device_of(const std::vector<hwloc_obj_t>& devices, hwloc_obj_t object) {
  while (object != nullptr && object->type == HWLOC_OBJ_OS_DEVICE)
    object = object->parent;
  const auto at = std::find(devices.begin(), devices.end(), object);
  if (object == nullptr || at == devices.end()) return std::nullopt;
  return static_cast<std::size_t>(at - devices.begin());
}

/// Makes a matrix over devices and switch ports one from device to device: the ports are merged into one switch, and
/// each path over it becomes a link. Only with a switch: the second step erases direct links where there is none.
void close_over_switches(hwloc_topology_t machine, hwloc_distances_s* matrix) {
  if (hwloc_distances_transform(machine, matrix, HWLOC_DISTANCES_TRANSFORM_MERGE_SWITCH_PORTS,
                                nullptr, 0)
      == 0)
    hwloc_distances_transform(machine, matrix, HWLOC_DISTANCES_TRANSFORM_TRANSITIVE_CLOSURE,
                              nullptr, 0);
}

void read_links(hwloc_topology_t machine,
                const std::vector<hwloc_obj_t>& devices,
                base::topology& found) {
  for (const char* name : {"NVLinkBandwidth", "XGMIBandwidth"}) {
    hwloc_distances_s* matrix = nullptr;
    unsigned count = 1;
    if (hwloc_distances_get_by_name(machine, name, &count, &matrix, 0) != 0 || count == 0) continue;
    close_over_switches(machine, matrix);
    for (unsigned row = 0; row < matrix->nbobjs; ++row)
      for (unsigned column = 0; column < matrix->nbobjs; ++column) {
        const auto a = device_of(devices, matrix->objs[row]);
        const auto b = device_of(devices, matrix->objs[column]);
        const auto mb_per_s = matrix->values[row * matrix->nbobjs + column];
        if (!a || !b || *a >= *b || mb_per_s == 0) continue;
        found.links.push_back(
            {static_cast<std::uint16_t>(*a), static_cast<std::uint16_t>(*b),
             static_cast<std::uint32_t>(std::min<hwloc_uint64_t>(mb_per_s, 0xFFFFFFFFu))});
      }
    hwloc_distances_release(machine, matrix);
  }
  std::sort(found.links.begin(), found.links.end(),
            [](const auto& x, const auto& y) { return std::pair(x.a, x.b) < std::pair(y.a, y.b); });
}

std::vector<base::numa_domain> read_numa(hwloc_topology_t machine) {
  std::vector<base::numa_domain> domains;
  for (hwloc_obj_t node = nullptr;
       (node = hwloc_get_next_obj_by_type(machine, HWLOC_OBJ_NUMANODE, node)) != nullptr;) {
    int cores = hwloc_get_nbobjs_inside_cpuset_by_type(machine, node->cpuset, HWLOC_OBJ_CORE);
    if (cores == 0)  // a description without cores counts processors
      cores = hwloc_get_nbobjs_inside_cpuset_by_type(machine, node->cpuset, HWLOC_OBJ_PU);
    domains.push_back({static_cast<std::uint32_t>(std::max(cores, 0)),
                       static_cast<std::int64_t>(node->attr->numanode.local_memory >> 20)});
  }
  return domains;
}

std::vector<hwloc_obj_t> accelerators(hwloc_topology_t machine) {
  std::vector<hwloc_obj_t> found;
  for (hwloc_obj_t pci = nullptr; (pci = hwloc_get_next_pcidev(machine, pci)) != nullptr;)
    if (is_accelerator(pci)) found.push_back(pci);
  std::sort(found.begin(), found.end(),
            [](hwloc_obj_t a, hwloc_obj_t b) { return pci_address(a) < pci_address(b); });
  return found;
}

base::topology words_for(hwloc_topology_t machine) {
  base::topology found;
  found.numa = read_numa(machine);
  const auto devices = accelerators(machine);
  for (const auto pci : devices) {
    const auto model = reported_model(pci);
    const auto memory = reported_memory_mib(pci);
    found.devices.push_back({short_model(model), pci_address(pci),
                             memory > 0 ? memory : memory_mib_named_by(model),
                             numa_of(machine, pci), -1});
  }
  number_switches(devices, found);
  read_links(machine, devices, found);
  return found;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0)
      words.back() += c;
    else if (!words.back().empty())
      words.emplace_back();
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

/// "V100", "T4", "L40S", "MI50", "MI300X", "A10G": one to three capitals, digits, at most one capital.
bool is_model_word(std::string_view word) {
  const auto is_upper = [](char c) { return std::isupper(static_cast<unsigned char>(c)) != 0; };
  const auto is_digit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
  const auto letters =
      static_cast<std::size_t>(std::find_if_not(word.begin(), word.end(), is_upper) - word.begin());
  const auto digits = static_cast<std::size_t>(
      std::find_if_not(word.begin() + static_cast<std::ptrdiff_t>(letters), word.end(), is_digit)
      - word.begin() - static_cast<std::ptrdiff_t>(letters));
  const auto rest = word.substr(letters + digits);
  const bool bus_or_memory = word.starts_with("SXM") || word.starts_with("HBM");
  return letters >= 1 && letters <= 3 && digits >= 1 && !bus_or_memory
         && (rest.empty() || (rest.size() == 1 && is_upper(rest[0])));
}

}  // namespace

std::string short_model(std::string_view reported) {
  // "GV100GL [Tesla V100 SXM2 16GB]": the market's name is in the brackets.
  if (const auto open = reported.find('['); open != std::string_view::npos)
    reported = reported.substr(open + 1, reported.find(']', open) - open - 1);
  const auto words = words_of(reported);
  for (std::size_t i = 0; i + 1 < words.size(); ++i)
    if (words[i] == "RTX" || words[i] == "GTX") {
      const bool titanium = i + 2 < words.size() && words[i + 2] == "Ti";
      return words[i] + " " + words[i + 1] + (titanium ? " Ti" : "");
    }
  const auto found = std::find_if(words.begin(), words.end(), is_model_word);
  return found == words.end() ? std::string(reported) : *found;
}

std::int64_t memory_mib_named_by(std::string_view reported) {
  constexpr std::int64_t bytes_per_gb = 1'000'000'000;
  for (const auto& word : words_of(reported)) {
    const auto digits = word.find_first_not_of("0123456789");
    if (digits == 0 || digits == std::string::npos || digits > 4 || word.substr(digits) != "GB")
      continue;
    return (std::atoll(word.c_str()) * bytes_per_gb) >> 20;
  }
  return 0;
}

result<base::topology> read_topology() {
  const auto machine = new_machine();
  if (!machine || hwloc_topology_load(machine.get()) != 0)
    return fail(kind::failed, "topology",
                fmt::format("hwloc cannot read this machine's topology: {}", std::strerror(errno)));
  return words_for(machine.get());
}

result<base::topology> read_topology_xml(std::string_view xml) {
  if (xml.empty()) return bad_xml("the machine's description is empty");
  if (xml.size() > topology_xml_bytes_max)
    return bad_xml(fmt::format("the machine's description has {} bytes, at most {} are read",
                               xml.size(), topology_xml_bytes_max));
  if (xml.find('\0') != std::string_view::npos)
    return bad_xml("the machine's description holds a zero byte, so it is no XML");
  const auto machine = new_machine();
  if (!machine) return fail(kind::failed, "topology", "hwloc has no memory for a topology");
  // hwloc wants the terminating zero counted.
  const std::string text(xml);
  if (hwloc_topology_set_xmlbuffer(machine.get(), text.c_str(), static_cast<int>(text.size() + 1))
      != 0)
    return bad_xml("the machine's description is not hwloc's XML");
  if (hwloc_topology_load(machine.get()) != 0)
    return bad_xml("the machine's description is XML, but hwloc cannot make a machine of it");
  return words_for(machine.get());
}

result<base::topology> read_topology_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return fail(kind::missing, "topology_file",
                fmt::format("cannot open '{}': {}", path, std::strerror(errno)));
  std::string text;
  std::array<char, 65536> part{};
  while (text.size() <= topology_xml_bytes_max
         && (file.read(part.data(), part.size()), file.gcount() > 0))
    text.append(part.data(), static_cast<std::size_t>(file.gcount()));
  auto read = read_topology_xml(text);
  if (!read) return std::move(read).error().at(fmt::format("while reading '{}'", path));
  return read;
}

}  // namespace berth::gpu
