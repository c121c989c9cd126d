#include "tools/simulate/csv.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fstream>

namespace berth::tools {
namespace {

constexpr std::uintmax_t bytes_max = 256u << 20;
/// What some programs write before UTF-8 text.
constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

std::vector<std::string> split(std::string_view line) {
  std::vector<std::string> fields;
  for (std::size_t start = 0;;) {
    const auto comma = line.find(',', start);
    fields.emplace_back(line.substr(start, comma - start));
    if (comma == std::string_view::npos) return fields;
    start = comma + 1;
  }
}

/// Text of a file that may be anything, fit for a terminal.
std::string shown(std::string_view text) {
  constexpr std::size_t bytes_shown = 60;
  std::string safe(text.substr(0, bytes_shown));
  std::replace_if(
      safe.begin(), safe.end(), [](unsigned char c) { return c < 0x20 || c >= 0x7F; }, '?');
  return text.size() > bytes_shown ? safe + "..." : safe;
}

}  // namespace

result<csv_table> csv_table::read(const std::filesystem::path& file) {
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored))
    return fail(kind::invalid, "no_file",
                fmt::format("{}: is a folder; expected a file", file.string()));
  if (const auto bytes = std::filesystem::file_size(file, ignored); !ignored && bytes > bytes_max)
    return fail(kind::invalid, "too_large",
                fmt::format("{}: {} bytes; at most {} are read", file.string(), bytes, bytes_max));
  std::ifstream in(file, std::ios::binary);
  if (!in)
    return fail(kind::missing, "no_file",
                fmt::format("{}: cannot be opened; is the path right?", file.string()));
  csv_table table;
  table.file_ = file.string();
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    if (number == 1 && line.starts_with(byte_order_mark)) line.erase(0, byte_order_mark.size());
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) continue;
    auto fields = split(line);
    if (auto wrong = table.wrong_with(number, fields)) return *std::move(wrong);
    if (table.header_.empty())
      table.header_ = std::move(fields);
    else
      table.lines_.push_back({number, std::move(fields)});
  }
  if (table.header_.empty())
    return fail(kind::invalid, "bad_csv",
                fmt::format("{}:1: column 1 is empty, as is the file; expected a header line",
                            table.file_));
  if (table.lines_.empty())
    return fail(kind::invalid, "bad_csv",
                fmt::format("{}:2: column 1 is missing, as is the line; expected a row at least",
                            table.file_));
  return table;
}

std::optional<error_info> csv_table::wrong_with(std::size_t number,
                                                const std::vector<std::string>& fields) const {
  const auto bad = [&](std::size_t column, const std::string& what) {
    const auto name =
        column < header_.size() ? fmt::format(" (\"{}\")", shown(header_[column])) : std::string();
    return fail(kind::invalid, "bad_csv",
                fmt::format("{}:{}: column {}{} {}", file_, number, column + 1, name, what));
  };
  for (std::size_t column = 0; column < fields.size(); ++column)
    if (fields[column].find('"') != std::string::npos)
      return bad(column, "has a quotation mark; expected plain fields separated by commas");
  const auto expected = header_.size();
  if (expected == 0 || fields.size() == expected) return std::nullopt;
  const auto less = fields.size() < expected;
  return bad(less ? fields.size() : expected,
             fmt::format("{}: {} fields; expected {} as in the header",
                         less ? "is missing" : "is one too many", fields.size(), expected));
}

bool csv_table::has(std::string_view name) const {
  return std::find(header_.begin(), header_.end(), name) != header_.end();
}

result<std::size_t> csv_table::column(std::string_view name) const {
  const auto at = std::find(header_.begin(), header_.end(), name);
  if (at == header_.end())
    return fail(kind::invalid, "bad_csv",
                fmt::format("{}:1: no column \"{}\"; expected it beside {}", file_, name,
                            fmt::join(header_, ", ")));
  return static_cast<std::size_t>(at - header_.begin());
}

result<std::int64_t> csv_table::milliseconds(std::size_t row,
                                             std::size_t column,
                                             std::int64_t least,
                                             std::int64_t most) const {
  const auto field = text(row, column);
  const auto point = std::min(field.find('.'), field.size());
  const auto decimals = field.substr(std::min(point + 1, field.size()));
  // "1.5" as 1 and 500: digits are filled up to three.
  const auto digits = fmt::format("{}{:0<3}", field.substr(0, point), decimals);
  std::int64_t value = 0;
  const auto [end, wrong] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  const bool whole = point > 0 && decimals.size() <= 3 && wrong == std::errc{}
                     && end == digits.data() + digits.size();
  if (!whole || value < least * 1000 || value > most * 1000)
    return complaint(
        row, column,
        fmt::format("seconds between {} and {}, with three decimals at most", least, most));
  return value;
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
                  column + 1, shown(header_[column]), shown(text(row, column)), expected));
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
