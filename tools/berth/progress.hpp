#pragma once
// Progress of long work: one line on stderr that overwrites itself, on a terminal only.

#include <chrono>
#include <string_view>

namespace berth::tools {

class progress_line {
 public:
  progress_line();
  progress_line(const progress_line&) = delete;
  progress_line& operator=(const progress_line&) = delete;

  ~progress_line() { clear(); }

  /// Shows what is being done now. Quick steps (below a tenth of a second) never flicker: the line appears with the first
  /// step that comes later than that.
  void show(std::string_view step);
  void clear();

 private:
  bool terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point began_;
};

}  // namespace berth::tools
