#include "tools/berth/progress.hpp"

#include "tools/berth/table.hpp"

#include <iostream>
#include <unistd.h>

namespace berth::tools {

progress_line::progress_line()
    : terminal_(::isatty(STDERR_FILENO) == 1), began_(std::chrono::steady_clock::now()) {}

void progress_line::show(std::string_view step) {
  if (!terminal_) return;
  if (std::chrono::steady_clock::now() - began_ < std::chrono::milliseconds(100) && !shown_) return;
  std::cerr << "\r\x1b[K" << printable(step.substr(0, 78)) << std::flush;
  shown_ = true;
}

void progress_line::clear() {
  if (shown_) std::cerr << "\r\x1b[K" << std::flush;
  shown_ = false;
}

}  // namespace berth::tools
