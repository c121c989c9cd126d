#pragma once
// The rows of the scheduler's figure table: each group measures, and says which bar each figure has to reach.

#include "tests/bench/support/settings.hpp"

#include <filesystem>
#include <functional>
#include <initializer_list>
#include <string>

namespace berth::bench {

/// What the rows of one run share: what is wanted, the published trace, and where a row goes.
struct bench_run {
  settings how;
  std::filesystem::path data;
  std::function<void(const row&)> sink;

  /// Prints the row when it is wanted.
  void tell(const row& one) const {
    if (how.wants(one.id)) sink(one);
  }

  /// Whether one of the rows GROUP.LAST is wanted.
  [[nodiscard]] bool wants_any(const std::string& group,
                               std::initializer_list<const char*> lasts) const {
    for (const auto* last : lasts)
      if (how.wants("scheduler." + group + "." + last)) return true;
    return false;
  }
};

/// A row with an absolute bar (">= 96"). The id is "scheduler." and `id`.
[[nodiscard]] inline row absolute(
    const std::string& id, std::string what, double value, std::string unit, std::string bar) {
  row made;
  made.id = "scheduler." + id;
  made.what = std::move(what);
  made.unit = std::move(unit);
  made.ours = made.judged = made.worst = value;
  made.bar = std::move(bar);
  made.rounds = 1;
  return made;
}

/// quality.*: allocation, first failures and CPU-only failures on the published orders, and what must not matter to
/// `fill`.
void quality_rows(const bench_run& run);
/// memory.*: peak memory on 100,000 nodes with a million running, each policy in a child process of its own.
void memory_rows(const bench_run& run);
/// queue.*: shares, backfill, predictions and defragmentation in simulated time: a busy machine changes none of them.
void queue_rows(const bench_run& run);
/// speed.*: decisions per second, tails and the longest pause on 10,000 nodes.
void speed_rows(const bench_run& run);
/// gang.*: a gang of 32 on 1,250 nodes.
void gang_rows(const bench_run& run);

}  // namespace berth::bench
