#pragma once
// File watch: told when a source is saved, whichever way the editor writes it (in place, or by rename).

#include "runtime/base/unique_fd.hpp"

#include <berth/error.hpp>
#include <filesystem>
#include <map>
#include <set>
#include <stop_token>
#include <string>

namespace berth::tools {

class file_watch {
 public:
  file_watch();
  /// Watches a file that exists, and every header beside it. Errors: `missing`; `failed` with the system's reason.
  result<void> add(const std::filesystem::path& file);
  /// Waits for the next save, or Ctrl-C (then false). Saves within 20 ms of each other count once.
  bool wait();

 private:
  [[nodiscard]] bool concerns(int watch, const std::string& leaf) const;
  base::unique_fd events_;
  std::map<int, std::set<std::string>> watched_;  ///< file names by watched folder
};

/// Waits until Ctrl-C or until `ended`, then requests the stop in the first case.
void await_interrupt(const std::stop_token& ended, std::stop_source& stop);

}  // namespace berth::tools
