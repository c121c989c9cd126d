#pragma once
// Watch: every change from a revision on, in order and without gaps, resumable.
//
// A watcher is a cursor into the change log, so a slow one costs no memory: it gets at most `rows_in_flight_max` rows
// ahead of what it has taken. One that falls `lag_max` revisions behind is cut and told the last revision it was
// given, from which it may watch again.

#include "registry/names.hpp"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace berth::registry {

struct watch_limits {
  std::uint64_t rows_in_flight_max = 1024;
  std::uint64_t lag_max = 65536;  ///< revisions
};

/// What to send next. `cut` ends the watcher: `last` is the last revision it was given or skipped.
struct watch_push {
  std::uint64_t watcher = 0;
  std::vector<change> rows;
  std::uint64_t last = 0;
  bool cut = false;
};

/// Pure; the owner calls `pump` after commits and after watchers took rows.
class watch_hub {
 public:
  explicit watch_hub(watch_limits limits = {}) : limits_(limits) {}

  /// Starts at `from_revision` (0 and 1: from the beginning); a revision in the future waits for it. `watcher` must be
  /// new. Rows whose name starts with `prefix` are pushed.
  void add(std::uint64_t watcher, std::string prefix, std::uint64_t from_revision);
  void remove(std::uint64_t watcher);
  /// The watcher has taken `rows` of what was pushed to it.
  void taken(std::uint64_t watcher, std::uint64_t rows);
  /// Everything that can be sent now. `log`: revision n at n - 1. A transaction is never torn over two pushes.
  [[nodiscard]] std::vector<watch_push> pump(std::span<const change> log);

  [[nodiscard]] std::size_t size() const { return watchers_.size(); }

 private:
  struct cursor {
    std::string prefix;
    std::uint64_t next = 1;
    std::uint64_t in_flight = 0;
  };

  watch_push advance(std::uint64_t watcher, cursor& at, std::span<const change> log) const;

  watch_limits limits_;
  std::map<std::uint64_t, cursor> watchers_;
};

}  // namespace berth::registry
