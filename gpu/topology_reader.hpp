#pragma once
// Topology reader: which devices a machine has, and how near they are to each other.
//
// The scheduler keeps a gang together only as well as it knows the machine. This reads what hwloc knows, of this
// machine or of one described in an XML file, into the words of "runtime/base/topology.hpp". It needs no library of
// any device vendor: a device is a PCI function of display class by a maker of accelerators (so a server's management
// graphics chip is none), or one that hwloc found a compute interface on.
//
// Device numbers follow PCI address order, as the vendors' own tools count by default.

#include "runtime/base/topology.hpp"

#include <berth/error.hpp>
#include <string>
#include <string_view>

namespace berth::gpu {

/// The largest XML text that is looked at. The largest machine among the test data has 174 KB.
inline constexpr std::size_t topology_xml_bytes_max = 32u << 20;

/// Reads the topology of this machine. Devices this process may not use are listed too.
///
/// Errors: `failed`/"topology" when hwloc cannot look at the machine. Cost: 15–30 ms (PCI discovery).
[[nodiscard]] result<base::topology> read_topology();

/// Reads a machine described by hwloc's XML, version 2 (what `lstopo --of xml` writes with hwloc 2).
///
/// Errors: `invalid`/"topology_xml" for text that is not such a description; the message says what to write it with.
/// Cost: about 6 ms for 224 processors and 8 devices.
[[nodiscard]] result<base::topology> read_topology_xml(std::string_view xml);

/// Reads such a description from a file. Errors: as above, and `missing`/"topology_file".
[[nodiscard]] result<base::topology> read_topology_file(const std::string& path);

/// A device model as users ask for it: "NVIDIA H100 80GB HBM3" is "H100", "Tesla V100-SXM3-32GB-H" is "V100",
/// "NVIDIA GeForce RTX 4090" is "RTX 4090". What is not recognised is returned whole.
[[nodiscard]] std::string short_model(std::string_view reported);

/// Device memory that a model's name promises, in MiB, counting its GB as 10^9 bytes (the device has at least so much);
/// 0 when the name says nothing.
[[nodiscard]] std::int64_t memory_mib_named_by(std::string_view reported);

}  // namespace berth::gpu
