#pragma once
// The rows of the scheduler's figure table: each group measures, and says which bar each figure has to reach.

#include "tests/bench/support/row.hpp"

#include <filesystem>
#include <functional>
#include <string>

namespace berth::bench {

using row_sink = std::function<void(const row&)>;

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

/// Allocation, first failures and CPU-only failures on the published orders, and what must not matter to `fill`.
void quality_rows(const std::filesystem::path& data, const row_sink& sink);
/// Decisions per second, tails and the longest pause on 10,000 nodes.
void speed_rows(const std::filesystem::path& data, const row_sink& sink);
/// A gang of 32 on 1,250 nodes.
void gang_rows(const std::filesystem::path& data, const row_sink& sink);
/// Peak memory on 100,000 nodes with a million running, each policy in a child process of its own.
void memory_rows(const std::filesystem::path& data, const row_sink& sink);
/// Shares, backfill, predictions and defragmentation in simulated time: a busy machine changes none of them.
void queue_rows(const row_sink& sink);

}  // namespace berth::bench
