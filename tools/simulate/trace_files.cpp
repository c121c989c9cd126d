#include "tools/simulate/trace_files.hpp"

#include "scheduler/random_source.hpp"
#include "tools/simulate/csv.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <fstream>
#include <numeric>
#include <optional>

namespace berth::tools {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t quantity_max = 2'000'000'000;

std::vector<std::string> split_models(std::string_view spec) {
  std::vector<std::string> models;
  while (!spec.empty()) {
    const auto bar = std::min(spec.find('|'), spec.size());
    if (bar > 0) models.emplace_back(spec.substr(0, bar));
    spec.remove_prefix(std::min(bar + 1, spec.size()));
  }
  return models;
}

/// Reads the rows of a table through a list of integer columns; the first error ends it.
class row_reader {
 public:
  explicit row_reader(const csv_table& table) : table_(table) {}

  std::int64_t integer(std::size_t row,
                       std::string_view name,
                       std::int64_t least,
                       std::int64_t most) {
    const auto at = column(name);
    if (why_) return 0;
    auto value = table_.integer(row, at, least, most);
    if (!value) {
      why_ = std::move(value).error();
      return 0;
    }
    return *value;
  }

  std::string_view text(std::size_t row, std::string_view name) {
    const auto at = column(name);
    return why_ ? std::string_view{} : table_.text(row, at);
  }

  void expect(bool holds, std::size_t row, std::string_view name, std::string_view expected) {
    if (why_ || holds) return;
    const auto at = column(name);
    if (!why_) why_ = table_.complaint(row, at, expected);
  }

  [[nodiscard]] const std::optional<error_info>& why() const { return why_; }

 private:
  std::size_t column(std::string_view name) {
    if (why_) return 0;
    auto at = table_.column(name);
    if (!at) why_ = std::move(at).error();
    return why_ ? 0 : *at;
  }

  const csv_table& table_;
  std::optional<error_info> why_;
};

template <class Record>
result<std::vector<Record>> sorted_by_name(std::vector<Record> records, const fs::path& file) {
  std::sort(records.begin(), records.end(),
            [](const Record& one, const Record& two) { return one.name < two.name; });
  const auto twin =
      std::adjacent_find(records.begin(), records.end(),
                         [](const Record& one, const Record& two) { return one.name == two.name; });
  if (twin != records.end())
    return fail(kind::invalid, "bad_csv",
                fmt::format("{}: the name \"{}\" occurs twice; expected one row each",
                            file.string(), twin->name));
  return records;
}

result<std::vector<sched::node_spec>> read_nodes(const fs::path& file) {
  auto table = csv_table::read(file);
  if (!table) return std::move(table).error();
  row_reader reader(*table);
  std::vector<sched::node_spec> nodes;
  for (std::size_t row = 0; row < table->size(); ++row) {
    sched::node_spec spec;
    spec.name = reader.text(row, "sn");
    spec.cpu_milli = reader.integer(row, "cpu_milli", 0, quantity_max);
    spec.memory_mib = reader.integer(row, "memory_mib", 0, quantity_max);
    const auto devices = reader.integer(row, "gpu", 0, 64);
    spec.topology = base::uniform_topology(static_cast<std::size_t>(devices),
                                           std::string(reader.text(row, "model")), 0, 0);
    reader.expect(!spec.name.empty(), row, "sn", "a name");
    if (reader.why()) return *reader.why();
    nodes.push_back(std::move(spec));
  }
  return sorted_by_name(std::move(nodes), file);
}

result<std::vector<sched::demand>> read_pods(const fs::path& file) {
  auto table = csv_table::read(file);
  if (!table) return std::move(table).error();
  row_reader reader(*table);
  std::vector<sched::demand> pods;
  for (std::size_t row = 0; row < table->size(); ++row) {
    sched::demand pod;
    pod.name = reader.text(row, "name");
    pod.each.cpu_milli =
        static_cast<std::int32_t>(reader.integer(row, "cpu_milli", 0, quantity_max));
    pod.each.memory_mib =
        static_cast<std::int32_t>(reader.integer(row, "memory_mib", 0, quantity_max));
    pod.each.gpus = static_cast<std::uint16_t>(reader.integer(row, "num_gpu", 0, 64));
    const auto milli = reader.integer(row, "gpu_milli", 0, 1000);
    pod.each.gpu_milli = static_cast<std::uint16_t>(pod.each.gpus == 0 ? 0 : milli);
    reader.expect(!pod.name.empty(), row, "name", "a name");
    reader.expect(pod.each.gpus == 0 || milli > 0, row, "gpu_milli",
                  "1 to 1000 for a pod with GPUs");
    reader.expect(pod.each.gpus <= 1 || milli == 1000, row, "gpu_milli",
                  "1000 for a pod of several GPUs");
    if (table->has("gpu_spec")) pod.models = split_models(reader.text(row, "gpu_spec"));
    if (reader.why()) return *reader.why();
    pods.push_back(std::move(pod));
  }
  return sorted_by_name(std::move(pods), file);
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
  return indices;
}

result<std::vector<sched::node_spec>> by_rank(std::vector<sched::node_spec> nodes,
                                              const std::vector<std::uint32_t>& rank,
                                              const fs::path& file) {
  std::vector<std::optional<sched::node_spec>> placed(nodes.size());
  for (std::size_t i = 0; i < rank.size() && i < nodes.size(); ++i)
    placed[rank[i]] = std::move(nodes[i]);
  std::vector<sched::node_spec> ordered;
  for (auto& one : placed) {
    if (!one || rank.size() != nodes.size())
      return fail(kind::invalid, "bad_order",
                  fmt::format("{}:1: expected each rank from 0 to {} once", file.string(),
                              nodes.size() - 1));
    ordered.push_back(*std::move(one));
  }
  return ordered;
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

result<loaded_trace> load_trace(const fs::path& dir,
                                std::string_view workload,
                                std::uint64_t seed,
                                arrival_order wanted) {
  const auto list = fmt::format("openb_pod_list_{}", workload);
  auto nodes = read_nodes(dir / "openb_node_list_gpu_node.csv");
  if (!nodes) return std::move(nodes).error();
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
