#include "tools/simulate/trace_files.hpp"

#include "scheduler/random_source.hpp"
#include "tools/simulate/row_reader.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fstream>
#include <numeric>
#include <optional>
#include <set>
#include <type_traits>
#include <utility>

namespace berth::tools {
namespace {

namespace fs = std::filesystem;

/// The rows of a table as records, sorted by their names, which stand in `name_column` and occur once each.
template <class Read>
auto read_by_name(const fs::path& file, std::string_view name_column, Read&& read)
    -> result<std::vector<std::invoke_result_t<Read, row_reader&, std::size_t>>> {
  auto table = csv_table::read(file);
  if (!table) return std::move(table).error();
  row_reader reader(*table);
  std::vector<std::invoke_result_t<Read, row_reader&, std::size_t>> records;
  std::set<std::string> names;
  for (std::size_t row = 0; row < table->size() && !reader.why(); ++row) {
    records.push_back(read(reader, row));
    const auto& name = records.back().name;
    reader.expect(!name.empty(), row, name_column, "a name");
    reader.expect(names.insert(name).second, row, name_column, "a name that no row above has");
  }
  if (reader.why()) return *reader.why();
  std::sort(records.begin(), records.end(),
            [](const auto& one, const auto& two) { return one.name < two.name; });
  return records;
}

result<std::vector<sched::demand>> read_pods(const fs::path& file) {
  return read_by_name(file, "name",
                      [](row_reader& reader, std::size_t row) { return reader.pod(row); });
}

/// Whitespace-separated indices below `bound`.
result<std::vector<std::uint32_t>> read_indices(const fs::path& file, std::size_t bound) {
  std::ifstream in(file);
  if (!in)
    return fail(
        kind::missing, "no_order",
        fmt::format("{}: no such published order; use --shuffle to shuffle by the seed instead",
                    file.string()));
  std::vector<std::uint32_t> indices;
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    for (std::size_t at = line.find_first_not_of(" \t\r"); at != std::string::npos;) {
      const auto end = std::min(line.find_first_of(" \t\r", at), line.size());
      std::uint64_t value = 0;
      const auto [stop, wrong] = std::from_chars(line.data() + at, line.data() + end, value);
      if (wrong != std::errc{} || stop != line.data() + end || value >= bound)
        return fail(kind::invalid, "bad_order",
                    fmt::format("{}:{}:{}: \"{}\"; expected an index below {}", file.string(),
                                number, at + 1, line.substr(at, end - at), bound));
      indices.push_back(static_cast<std::uint32_t>(value));
      at = line.find_first_not_of(" \t\r", end);
    }
  }
  if (indices.empty())
    return fail(kind::invalid, "bad_order",
                fmt::format("{}:1:1: empty; expected indices below {}", file.string(), bound));
  return indices;
}

result<std::vector<sched::node_spec>> by_rank(std::vector<sched::node_spec> nodes,
                                              const std::vector<std::uint32_t>& rank,
                                              const fs::path& file) {
  const auto bad = [&](const std::string& what) {
    return fail(kind::invalid, "bad_order",
                fmt::format("{}:1: {}; expected each rank from 0 to {} once", file.string(), what,
                            nodes.size() - 1));
  };
  if (rank.size() != nodes.size()) return bad(fmt::format("{} ranks", rank.size()));
  std::vector<std::optional<sched::node_spec>> placed(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (placed[rank[i]]) return bad(fmt::format("number {} is {} again", i + 1, rank[i]));
    placed[rank[i]] = std::move(nodes[i]);
  }
  std::vector<sched::node_spec> ordered;
  for (auto& one : placed)
    ordered.push_back(*std::move(one));
  return ordered;
}

error_info no_such_workload(const fs::path& dir, std::string_view workload) {
  constexpr std::string_view before = "openb_pod_list_";
  std::set<std::string> there;
  std::error_code ignored;
  for (const auto& file : fs::directory_iterator(dir, ignored))
    if (const auto name = file.path().stem().string();
        name.starts_with(before) && file.path().extension() == ".csv")
      there.insert(name.substr(before.size()));
  return fail(kind::missing, "no_such_workload",
              fmt::format("{}: there is no openb_pod_list_{}.csv; the workloads there are {}",
                          dir.string(), workload, fmt::join(there, ", ")));
}

std::vector<std::uint32_t> shuffled_ranks(std::size_t count, std::uint64_t seed) {
  sched::random_source random(~seed);
  std::vector<std::uint32_t> rank(count);
  std::iota(rank.begin(), rank.end(), 0U);
  for (std::size_t i = count; i > 1; --i)
    std::swap(rank[i - 1], rank[random.below(static_cast<std::uint32_t>(i))]);
  return rank;
}

}  // namespace

result<std::vector<sched::node_spec>> read_nodes(const fs::path& dir) {
  const auto file = dir / "openb_node_list_gpu_node.csv";
  return read_by_name(file, "sn", [](row_reader& reader, std::size_t row) {
    sched::node_spec spec;
    spec.name = reader.text(row, "sn");
    spec.cpu_milli = reader.integer(row, "cpu_milli", 0, quantity_max);
    spec.memory_mib = reader.integer(row, "memory_mib", 0, quantity_max);
    const auto devices = reader.integer(row, "gpu", 0, 64);
    spec.topology = base::uniform_topology(static_cast<std::size_t>(devices),
                                           std::string(reader.text(row, "model")), 0, 0);
    return spec;
  });
}

result<loaded_trace> load_trace(const fs::path& dir,
                                std::string_view workload,
                                std::uint64_t seed,
                                arrival_order wanted) {
  const auto list = fmt::format("openb_pod_list_{}", workload);
  auto nodes = read_nodes(dir);
  if (!nodes) return std::move(nodes).error();
  if (!fs::exists(dir / (list + ".csv"))) return no_such_workload(dir, workload);
  auto pods = read_pods(dir / (list + ".csv"));
  if (!pods) return std::move(pods).error();
  loaded_trace made;
  made.order = fs::is_directory(dir / "orders") ? wanted : arrival_order::shuffled;
  std::vector<std::uint32_t> rank;
  fs::path rank_file = dir;
  if (made.order == arrival_order::published) {
    rank_file = dir / "orders" / fmt::format("perm.{}.{}", list, seed);
    auto arrivals =
        read_indices(dir / "orders" / fmt::format("{}.{}.seq", list, seed), pods->size());
    if (!arrivals) return std::move(arrivals).error();
    auto ranks = read_indices(rank_file, nodes->size());
    if (!ranks) return std::move(ranks).error();
    made.trace.arrivals = *std::move(arrivals);
    rank = *std::move(ranks);
  } else {
    std::int64_t capacity = 0;
    for (const auto& node : *nodes)
      capacity += 1000 * static_cast<std::int64_t>(node.topology.devices.size());
    made.trace.arrivals = sched::shuffled_arrivals(*pods, capacity, seed);
    rank = shuffled_ranks(nodes->size(), seed);
  }
  auto ordered = by_rank(*std::move(nodes), rank, rank_file);
  if (!ordered) return std::move(ordered).error();
  made.trace.nodes = *std::move(ordered);
  made.trace.pods = *std::move(pods);
  return made;
}

}  // namespace berth::tools
