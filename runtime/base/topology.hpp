#pragma once
// The words for the devices of one machine and how near they are to each other.
//
// A gang runs as fast as its slowest pair of neighbours, so whoever places one has to know which devices share an
// NVLink fabric, a PCIe switch or a NUMA domain. Whoever reads a real machine (hwloc, NVML) writes these words;
// the scheduler reads them. The levels do not nest: the NVLink fabric of an eight-GPU board spans two NUMA domains.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace berth::base {

/// How near two devices are, from far to near. A larger value is nearer. `cluster` holds for any pair.
enum class proximity : std::uint8_t {
  cluster = 0,      ///< somewhere in the same cluster
  zone = 1,         ///< same zone (building, availability zone)
  rack = 2,         ///< same rack
  node = 3,         ///< same machine
  numa = 4,         ///< same NUMA domain
  pcie_switch = 5,  ///< behind one PCIe switch
  island = 6,       ///< one device fabric (NVLink, xGMI), however many NUMA domains it spans
  device = 7,       ///< one and the same device
};

/// The word for a level as people read it ("PCIe switch").
[[nodiscard]] std::string_view to_string(proximity level) noexcept;

/// A NUMA domain of the machine. A value.
struct numa_domain {
  std::uint32_t cores = 0;      ///< physical cores
  std::int64_t memory_mib = 0;  ///< local memory
  friend bool operator==(const numa_domain&, const numa_domain&) = default;
};

/// An accelerator. A value. `numa` is an index into `topology::numa`; devices with equal `pcie_switch` share one
/// switch, and -1 stands for "behind none, or not known".
struct device {
  std::string model;    ///< as users ask for it ("H100", "T4"); empty when unknown
  std::string address;  ///< PCI address "0000:1b:00.0"; empty when unknown
  std::int64_t memory_mib =
      0;  ///< device memory; 0 when unknown: nothing that asks for some goes there
  std::int32_t numa = -1;
  std::int32_t pcie_switch = -1;
  friend bool operator==(const device&, const device&) = default;
};

/// A direct device-to-device connection (NVLink, xGMI), symmetric; `a` < `b` are indices into `topology::devices`.
struct device_link {
  std::uint16_t a = 0;
  std::uint16_t b = 0;
  std::uint32_t mb_per_s = 0;  ///< as the machine reports it, one direction
  friend bool operator==(const device_link&, const device_link&) = default;
};

/// The devices of one machine. A value: compares, copies.
struct topology {
  std::vector<numa_domain> numa;
  std::vector<device> devices;
  std::vector<device_link> links;
  friend bool operator==(const topology&, const topology&) = default;

  /// Bandwidth of the direct link between two devices in MB/s; 0 when there is none. Cost: O(links).
  [[nodiscard]] std::uint32_t bandwidth(std::size_t a, std::size_t b) const noexcept;

  /// The nearest level that holds for two devices of this machine (`device` for a == b). Devices of one island that
  /// have no direct link still count as island. Cost: O(devices x links).
  [[nodiscard]] proximity between(std::size_t a, std::size_t b) const noexcept;

  /// The islands: maximal sets of two or more devices joined by links, each ascending, ordered by first device.
  /// A device without links is in none. Cost: O(devices x links).
  [[nodiscard]] std::vector<std::vector<std::uint16_t>> islands() const;
};

/// `devices` equal devices joined all to all at `mb_per_s` (0: no links), spread evenly over `numa` domains: the
/// usual machine, for tests, benchmarks and clusters described by hand.
[[nodiscard]] topology uniform_topology(std::size_t devices,
                                        std::string model,
                                        std::int64_t memory_mib,
                                        std::uint32_t mb_per_s,
                                        std::size_t numa = 1);

}  // namespace berth::base
