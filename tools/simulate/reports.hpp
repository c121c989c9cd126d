#pragma once
// The forms a replay is reported in.

#include "tools/simulate/simulate.hpp"

#include <iosfwd>
#include <span>
#include <string>

namespace berth::tools {

/// One JSON object on one line, without the line's end.
[[nodiscard]] std::string json_line(const simulated_run& run);

/// The published table: mean allocation per arrived demand for each workload and policy, then failures and the first
/// failed GPU pod of each seed.
void print_table(std::ostream& out, std::span<const simulated_run> runs);

/// Allocation and fragmentation over arrived demand as an SVG picture, one line per workload and policy, mean over the
/// seeds.
[[nodiscard]] std::string svg_plot(std::span<const simulated_run> runs);

/// The header and the rows of the placements file: event (from 1), pod, node, devices (or "-"), then the run.
[[nodiscard]] std::string placements_header();
void write_placements(std::ostream& out, const simulated_run& run, const sched::trace& of);

}  // namespace berth::tools
