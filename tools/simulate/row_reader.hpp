#pragma once
// Rows of a trace's table as values. The first field that is wrong is kept; what is read after it is nothing.

#include "scheduler/demand.hpp"
#include "tools/simulate/csv.hpp"

#include <berth/error.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace berth::tools {

/// Cores in milli and MiB of a node or a pod at most.
inline constexpr std::int64_t quantity_max = 2'000'000'000;

class row_reader {
 public:
  /// `table` outlives the reader.
  explicit row_reader(const csv_table& table) : table_(table) {}

  [[nodiscard]] bool has(std::string_view column) const { return table_.has(column); }

  /// 0 when the field is no integer between `least` and `most`.
  std::int64_t integer(std::size_t row,
                       std::string_view name,
                       std::int64_t least,
                       std::int64_t most);
  /// A field in seconds, which may have decimals; the bounds are in seconds.
  std::chrono::milliseconds seconds(std::size_t row,
                                    std::string_view name,
                                    std::int64_t least,
                                    std::int64_t most);
  std::string_view text(std::size_t row, std::string_view name);
  /// Complains about the field unless `holds`.
  void expect(bool holds, std::size_t row, std::string_view name, std::string_view expected);

  /// A row of a pod list: name, cpu_milli, memory_mib, num_gpu, gpu_milli and, where there is one, gpu_spec.
  sched::demand pod(std::size_t row);

  /// What was wrong first.
  [[nodiscard]] const std::optional<error_info>& why() const { return why_; }

 private:
  std::size_t column(std::string_view name);

  const csv_table& table_;
  std::optional<error_info> why_;
};

}  // namespace berth::tools
