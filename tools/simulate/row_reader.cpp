#include "tools/simulate/row_reader.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace berth::tools {
namespace {

/// "A|B": model A or B.
std::vector<std::string> split_models(std::string_view spec) {
  std::vector<std::string> models;
  while (!spec.empty()) {
    const auto bar = std::min(spec.find('|'), spec.size());
    if (bar > 0) models.emplace_back(spec.substr(0, bar));
    spec.remove_prefix(std::min(bar + 1, spec.size()));
  }
  return models;
}

}  // namespace

std::int64_t row_reader::integer(std::size_t row,
                                 std::string_view name,
                                 std::int64_t least,
                                 std::int64_t most) {
  const auto at = column(name);
  if (why_) return 0;
  auto value = table_.integer(row, at, least, most);
  if (value) return *value;
  why_ = std::move(value).error();
  return 0;
}

std::chrono::milliseconds row_reader::seconds(std::size_t row,
                                              std::string_view name,
                                              std::int64_t least,
                                              std::int64_t most) {
  const auto at = column(name);
  if (why_) return {};
  auto value = table_.milliseconds(row, at, least, most);
  if (value) return std::chrono::milliseconds(*value);
  why_ = std::move(value).error();
  return {};
}

std::string_view row_reader::text(std::size_t row, std::string_view name) {
  const auto at = column(name);
  return why_ ? std::string_view{} : table_.text(row, at);
}

void row_reader::expect(bool holds,
                        std::size_t row,
                        std::string_view name,
                        std::string_view expected) {
  if (why_ || holds) return;
  const auto at = column(name);
  if (!why_) why_ = table_.complaint(row, at, expected);
}

sched::demand row_reader::pod(std::size_t row) {
  sched::demand made;
  made.name = text(row, "name");
  made.each.cpu_milli = static_cast<std::int32_t>(integer(row, "cpu_milli", 0, quantity_max));
  made.each.memory_mib = static_cast<std::int32_t>(integer(row, "memory_mib", 0, quantity_max));
  made.each.gpus = static_cast<std::uint16_t>(integer(row, "num_gpu", 0, 64));
  const auto milli = integer(row, "gpu_milli", 0, 1000);
  made.each.gpu_milli = static_cast<std::uint16_t>(made.each.gpus == 0 ? 0 : milli);
  expect(made.each.gpus == 0 || milli > 0, row, "gpu_milli", "1 to 1000 for a pod with GPUs");
  expect(made.each.gpus <= 1 || milli == 1000, row, "gpu_milli", "1000 for a pod of several GPUs");
  if (has("gpu_spec")) made.models = split_models(text(row, "gpu_spec"));
  return made;
}

std::size_t row_reader::column(std::string_view name) {
  if (why_) return 0;
  auto at = table_.column(name);
  if (at) return *at;
  why_ = std::move(at).error();
  return 0;
}

}  // namespace berth::tools
