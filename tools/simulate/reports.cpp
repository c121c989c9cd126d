#include "tools/simulate/reports.hpp"

#include "tools/simulate/curve.hpp"
#include "tools/simulate/json_text.hpp"

#include <algorithm>
#include <bit>
#include <fmt/format.h>
#include <iterator>
#include <map>
#include <ostream>
#include <utility>

namespace berth::tools {
namespace {

constexpr int table_columns[] = {50, 80, 85, 90, 95, 100, 110, 120, 130};
/// The last column of the published table; tiny clusters may overshoot it by a pod.
constexpr int column_max = 130;
constexpr const char* failure_classes[] = {"cpu", "share", "1", "2", "4", "8"};

std::string_view word(arrival_order order) {
  return order == arrival_order::published ? "published" : "shuffled";
}

/// Runs of one workload and policy, in the order first met.
using group_key = std::pair<std::string, std::string>;

std::vector<std::pair<group_key, std::vector<const simulated_run*>>> grouped(
    std::span<const simulated_run> runs) {
  std::vector<std::pair<group_key, std::vector<const simulated_run*>>> groups;
  for (const auto& run : runs) {
    const group_key key{run.workload, run.policy};
    auto at = std::find_if(groups.begin(), groups.end(),
                           [&](const auto& one) { return one.first == key; });
    if (at == groups.end()) at = groups.insert(at, {key, {}});
    at->second.push_back(&run);
  }
  return groups;
}

using column_means = std::map<int, double> (sched::replay_report::*)() const;

/// Mean over the seeds of a curve by column; a column counts where it has events.
std::map<int, double> mean_curve(const std::vector<const simulated_run*>& runs, column_means of) {
  std::map<int, std::pair<double, int>> sums;
  for (const auto* run : runs)
    for (const auto& [column, value] : (run->report.*of)()) {
      sums[column].first += value;
      ++sums[column].second;
    }
  std::map<int, double> means;
  for (const auto& [column, sum] : sums)
    means[column] = sum.first / sum.second;
  return means;
}

/// A drawing area: per cent of arrived demand to the right, per cent upwards.
struct panel {
  double left = 70;
  double top = 0;
  double width = 620;
  double height = 240;
  double y_max = 100;
  const char* title = "";

  [[nodiscard]] double x(double percent) const { return left + width * percent / 130; }

  [[nodiscard]] double y(double percent) const { return top + height * (1 - percent / y_max); }
};

constexpr const char* colours[] = {"#1b6ca8", "#d1495b", "#3a7d44", "#e09f3e",
                                   "#6a4c93", "#5f6368", "#00798c", "#9c6644"};

void draw_axes(std::string& svg, const panel& in) {
  auto to = std::back_inserter(svg);
  fmt::format_to(to, "<text x=\"{}\" y=\"{}\" font-weight=\"bold\">{}</text>\n", in.left,
                 in.top - 10, in.title);
  for (int step = 0; step <= 5; ++step) {
    const double value = in.y_max * step / 5;
    fmt::format_to(to,
                   "<line x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\" stroke=\"#ddd\"/>"
                   "<text x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5:g}</text>\n",
                   in.left, in.left + in.width, in.y(value), in.left - 8, in.y(value) + 4, value);
  }
  for (int arrived = 0; arrived <= 130; arrived += 10)
    fmt::format_to(to, "<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
                   in.x(arrived), in.top + in.height + 16, arrived);
}

void draw_curve(std::string& svg,
                const panel& in,
                const std::map<int, double>& curve,
                const char* colour) {
  std::string points;
  for (const auto& [column, value] : curve)
    fmt::format_to(std::back_inserter(points), "{:.1f},{:.1f} ", in.x(std::min(column, 130)),
                   in.y(std::min(value, in.y_max)));
  fmt::format_to(std::back_inserter(svg),
                 "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\" points=\"{}\"/>\n",
                 colour, points);
}

std::string escaped_xml(std::string_view text) {
  std::string made;
  for (const char c : text) {
    if (c == '<') {
      made += "&lt;";
    } else if (c == '&') {
      made += "&amp;";
    } else {
      made += c;
    }
  }
  return made;
}

}  // namespace

std::string json_line(const simulated_run& run) {
  const auto& report = run.report;
  const auto& last = report.events.empty() ? sched::replay_event{} : report.events.back();
  std::string line = fmt::format(
      R"({{"policy":{},"workload":{},"seed":{},"order":"{}","events":{},"arrived_milli":{},"allocated_milli":{},)"
      R"("frag_milli":{:.3f},"curve_sha256_16":"{}","allocation_pct":{{)",
      json_text(run.policy), json_text(run.workload), run.seed, word(run.order),
      report.events.size(), last.arrived_milli, last.allocated_milli, report.frag_milli,
      curve_sha256_16(report));
  auto to = std::back_inserter(line);
  const char* comma = "";
  for (const auto& [column, value] : report.allocation_by_column()) {
    if (column > column_max) break;
    fmt::format_to(to, "{}\"{}\":{:.6f}", comma, column, value);
    comma = ",";
  }
  line += "},\"failed\":{";
  comma = "";
  for (const auto& [cls, count] : report.failed) {
    fmt::format_to(to, "{}{}:{}", comma, json_text(cls), count);
    comma = ",";
  }
  fmt::format_to(
      to, "}},\"cpu_only_arrivals\":{},\"first_gpu_failure_pct\":", report.cpu_only_arrivals);
  line +=
      report.first_gpu_failure_pct ? fmt::format("{:.6f}", *report.first_gpu_failure_pct) : "null";
  return line + '}';
}

void print_table(std::ostream& out, std::span<const simulated_run> runs) {
  const auto groups = grouped(runs);
  out << "GPU allocation, % of capacity, at arrived demand (mean over the seeds)\n";
  out << fmt::format("{:<14}{:<9}", "workload", "policy");
  for (const int column : table_columns)
    out << fmt::format("{:>8}", fmt::format("@{}", column));
  out << '\n';
  for (const auto& [key, of] : groups) {
    out << fmt::format("{:<14}{:<9}", key.first, key.second);
    const auto means = mean_curve(of, &sched::replay_report::allocation_by_column);
    for (const int column : table_columns) {
      const auto at = means.find(column);
      out << (at == means.end() ? fmt::format("{:>8}", "-") : fmt::format("{:>8.2f}", at->second));
    }
    out << '\n';
  }
  out << "\nFailed pods by class, and the arrived % at which the first GPU pod failed\n";
  out << fmt::format("{:<14}{:<9}{:>6}", "workload", "policy", "seed");
  for (const auto* cls : failure_classes)
    out << fmt::format("{:>7}", cls);
  out << fmt::format("{:>8}{:>9}  {}\n", "other", "first", "order");
  for (const auto& [key, of] : groups)
    for (const auto* run : of) {
      out << fmt::format("{:<14}{:<9}{:>6}", run->workload, run->policy, run->seed);
      std::uint32_t other = 0;
      for (const auto& [cls, count] : run->report.failed)
        other += count;
      for (const auto* cls : failure_classes) {
        const auto count = run->report.failed.at(cls);
        other -= count;
        out << fmt::format("{:>7}", count);
      }
      const auto first = run->report.first_gpu_failure_pct;
      out << fmt::format("{:>8}{:>9}  {}\n", other, first ? fmt::format("{:.2f}", *first) : "none",
                         word(run->order));
    }
}

std::string svg_plot(std::span<const simulated_run> runs) {
  const auto groups = grouped(runs);
  panel allocation;
  allocation.top = 40;
  allocation.title = "Allocated GPU, % of capacity";
  panel frag;
  frag.top = 350;
  frag.y_max = 20;
  frag.title = "Fragmented GPU, % of capacity";
  const auto height = 640 + 18 * groups.size();
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"{0}\" "
      "viewBox=\"0 0 720 {0}\" font-family=\"sans-serif\" font-size=\"12\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
      height);
  draw_axes(svg, allocation);
  draw_axes(svg, frag);
  std::size_t index = 0;
  for (const auto& [key, of] : groups) {
    const auto* colour = colours[index % std::size(colours)];
    draw_curve(svg, allocation, mean_curve(of, &sched::replay_report::allocation_by_column),
               colour);
    draw_curve(svg, frag, mean_curve(of, &sched::replay_report::frag_by_column), colour);
    const auto y = 640 + 18 * index;
    fmt::format_to(
        std::back_inserter(svg),
        "<line x1=\"70\" x2=\"100\" y1=\"{0}\" y2=\"{0}\" stroke=\"{1}\" stroke-width=\"3\"/>"
        "<text x=\"108\" y=\"{2}\">{3} on {4}</text>\n",
        y, colour, y + 4, escaped_xml(key.second), escaped_xml(key.first));
    ++index;
  }
  fmt::format_to(std::back_inserter(svg),
                 "<text x=\"380\" y=\"624\" text-anchor=\"middle\">arrived demand, % of "
                 "capacity</text>\n</svg>\n");
  return svg;
}

std::string placements_header() {
  return "event,pod,node,gpus,policy,workload,seed\n";
}

void write_placements(std::ostream& out, const simulated_run& run, const sched::trace& of) {
  for (std::size_t i = 0; i < run.report.events.size(); ++i) {
    const auto& event = run.report.events[i];
    std::string devices;
    for (auto rest = event.placed ? event.placed->devices : 0; rest != 0; rest &= rest - 1)
      devices += fmt::format("{}{}", devices.empty() ? "" : " ", std::countr_zero(rest));
    out << fmt::format("{},{},{},{},{},{},{}\n", i + 1, of.pods[event.pod].name,
                       event.placed ? of.nodes[event.placed->node].name : "-",
                       devices.empty() ? "-" : devices, run.policy, run.workload, run.seed);
  }
}

}  // namespace berth::tools
