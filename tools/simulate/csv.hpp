#pragma once
// CSV as the published traces use it: a header line, comma-separated fields without quotes, columns found by name.
//
// A malformed line is an error that says file, line, column and what was expected.

#include <berth/error.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::tools {

class csv_table {
 public:
  /// Reads a whole file. Errors: `missing` when it cannot be opened; `invalid` for a folder, a file without a row, a
  /// quoted field, or a line with another number of fields than the header. At most 256 MiB are read.
  [[nodiscard]] static result<csv_table> read(const std::filesystem::path& file);

  [[nodiscard]] std::size_t size() const noexcept { return lines_.size(); }

  /// Index of a column. Errors: `invalid`, listing the columns there are.
  [[nodiscard]] result<std::size_t> column(std::string_view name) const;
  [[nodiscard]] bool has(std::string_view name) const;
  [[nodiscard]] std::string_view text(std::size_t row, std::size_t column) const;
  /// Errors: `invalid` naming file, line and column when the field is no integer between `least` and `most`.
  [[nodiscard]] result<std::int64_t> integer(std::size_t row,
                                             std::size_t column,
                                             std::int64_t least,
                                             std::int64_t most) const;
  /// A field in seconds, such as 12 or 0.25, as milliseconds. Errors as `integer`; the bounds are in seconds.
  [[nodiscard]] result<std::int64_t> milliseconds(std::size_t row,
                                                  std::size_t column,
                                                  std::int64_t least,
                                                  std::int64_t most) const;
  /// An error about one field.
  [[nodiscard]] error_info complaint(std::size_t row,
                                     std::size_t column,
                                     std::string_view expected) const;

 private:
  /// What is wrong with a line, if anything.
  [[nodiscard]] std::optional<error_info> wrong_with(std::size_t number,
                                                     const std::vector<std::string>& fields) const;

  struct line {
    std::size_t number = 0;
    std::vector<std::string> fields;
  };

  std::string file_;
  std::vector<std::string> header_;
  std::vector<line> lines_;
};

}  // namespace berth::tools
