#pragma once
// Tables for people: aligned columns on standard output, safe to show whatever the cells hold.

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace berth::tools {

/// `text` with control characters and escape sequences made visible ("\n", "\x1b"), so that a name or log line can
/// never steer the terminal.
[[nodiscard]] std::string printable(std::string_view text);

/// Columns as wide as their widest cell, two spaces between. Numbers are for the caller to format.
class table {
 public:
  explicit table(std::vector<std::string> head) : head_(std::move(head)) {}

  /// A row has as many cells as the head; missing ones are empty.
  void add(std::vector<std::string> row);
  /// Prints head and rows; nothing but `empty` when there are no rows.
  void print(std::ostream& out, std::string_view empty) const;

 private:
  std::vector<std::string> head_;
  std::vector<std::vector<std::string>> rows_;
};

/// Columns a UTF-8 text takes on a terminal, counting one per code point.
[[nodiscard]] std::size_t columns(std::string_view text);

/// "12 s", "3 min", "5 h", "2 d": a span of time in one unit.
[[nodiscard]] std::string span_text(double seconds);

}  // namespace berth::tools
