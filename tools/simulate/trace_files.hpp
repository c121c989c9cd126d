#pragma once
// The files of a published trace: node list, pod lists, arrival orders.

#include "scheduler/replay.hpp"

#include <berth/error.hpp>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace berth::tools {

/// Where the order of arrivals comes from.
enum class arrival_order : std::uint8_t {
  published,  ///< DIR/orders, or shuffled when the trace has no orders folder at all
  shuffled,   ///< by the seed
};

struct loaded_trace {
  sched::trace trace;
  arrival_order order = arrival_order::published;
};

/// Reads DIR/openb_node_list_gpu_node.csv; the nodes come sorted by name. Errors: those of csv_table; `invalid` for a
/// name that occurs twice.
[[nodiscard]] result<std::vector<sched::node_spec>> read_nodes(const std::filesystem::path& dir);

/// Reads DIR/openb_node_list_gpu_node.csv and DIR/openb_pod_list_WORKLOAD.csv and puts them in the order of a seed.
/// Errors: those of csv_table; `missing` when DIR has published orders but not of this workload and seed (the next
/// step is `--shuffle`); `invalid` for malformed orders, with file and line.
[[nodiscard]] result<loaded_trace> load_trace(const std::filesystem::path& dir,
                                              std::string_view workload,
                                              std::uint64_t seed,
                                              arrival_order wanted);

}  // namespace berth::tools
