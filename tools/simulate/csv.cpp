#include "tools/simulate/csv.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fstream>

namespace berth::tools {
namespace {

constexpr std::uintmax_t bytes_max = 256u << 20;

std::vector<std::string> split(std::string_view line) {
  std::vector<std::string> fields;
  for (std::size_t start = 0;;) {
    const auto comma = line.find(',', start);
    fields.emplace_back(line.substr(start, comma - start));
    if (comma == std::string_view::npos) return fields;
    start = comma + 1;
  }
}

}  // namespace

result<csv_table> csv_table::read(const std::filesystem::path& file) {
  std::error_code ignored;
  if (const auto bytes = std::filesystem::file_size(file, ignored); !ignored && bytes > bytes_max)
    return fail(kind::invalid, "too_large",
                fmt::format("{}: {} bytes; at most {} are read", file.string(), bytes, bytes_max));
  std::ifstream in(file, std::ios::binary);
  if (!in)
    return fail(kind::missing, "no_file",
                fmt::format("{}: cannot be opened; is it the folder of a trace?", file.string()));
  csv_table table;
  table.file_ = file.string();
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) continue;
    if (line.find('"') != std::string::npos)
      return fail(
          kind::invalid, "bad_csv",
          fmt::format("{}:{}:{}: a quotation mark; expected plain fields separated by commas",
                      table.file_, number, line.find('"') + 1));
    auto fields = split(line);
    if (table.header_.empty()) {
      table.header_ = std::move(fields);
      continue;
    }
    if (fields.size() != table.header_.size())
      return fail(kind::invalid, "bad_csv",
                  fmt::format("{}:{}: {} fields; expected {} as in the header", table.file_, number,
                              fields.size(), table.header_.size()));
    table.lines_.push_back({number, std::move(fields)});
  }
  if (table.header_.empty())
    return fail(kind::invalid, "bad_csv",
                fmt::format("{}:1: empty; expected a header line", table.file_));
  return table;
}

bool csv_table::has(std::string_view name) const {
  return std::find(header_.begin(), header_.end(), name) != header_.end();
}

result<std::size_t> csv_table::column(std::string_view name) const {
  const auto at = std::find(header_.begin(), header_.end(), name);
  if (at == header_.end())
    return fail(kind::invalid, "bad_csv",
                fmt::format("{}:1: no column \"{}\"; the columns are {}", file_, name,
                            fmt::join(header_, ", ")));
  return static_cast<std::size_t>(at - header_.begin());
}

std::string_view csv_table::text(std::size_t row, std::size_t column) const {
  return lines_[row].fields[column];
}

error_info csv_table::complaint(std::size_t row,
                                std::size_t column,
                                std::string_view expected) const {
  return fail(
      kind::invalid, "bad_csv",
      fmt::format("{}:{}: column {} (\"{}\") is \"{}\"; expected {}", file_, lines_[row].number,
                  column + 1, header_[column], text(row, column), expected));
}

result<std::int64_t> csv_table::integer(std::size_t row,
                                        std::size_t column,
                                        std::int64_t least,
                                        std::int64_t most) const {
  const auto field = text(row, column);
  std::int64_t value = 0;
  const auto [end, wrong] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (wrong != std::errc{} || end != field.data() + field.size() || value < least || value > most)
    return complaint(row, column, fmt::format("an integer between {} and {}", least, most));
  return value;
}

}  // namespace berth::tools
