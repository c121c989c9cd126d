#pragma once
// Explain: why something waits or was refused, in the words of whoever leads a team.
//
//   2 of 5 "bert" wait: all 40 H100 of rack b are held, by team x until 14:05.
//   "bert" waits: team y holds 8 of the 8 GPUs of its quota.
//
// The facts come as data first (`explanation`), the words from them, so that a face may print either.

#include "scheduler/queue.hpp"
#include "scheduler/what_if.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace berth::sched {

/// What stands in the way first.
enum class hindrance : std::uint8_t {
  none,         ///< nothing: it starts at the next decision, or runs
  held,         ///< by an operator or its owner
  handover,     ///< others are leaving for it now
  quota,        ///< its team's, or one above
  devices,      ///< the devices it admits are taken
  pieces,       ///< enough is free, but not together
  host,         ///< processor or memory of the nodes with free devices is taken
  promised,     ///< it would fit on nodes promised to earlier work
  maintenance,  ///< it would fit on nodes with a maintenance window
  impossible,   ///< no state of the cluster, or no holding of its team, lets it in
};

/// Everything known about why a line, or a demand that is not submitted, does not start.
struct explanation {
  hindrance first = hindrance::none;
  std::string name;         ///< of the demand
  std::uint32_t count = 1;  ///< jobs of the line, and how many of them wait
  std::uint32_t waiting = 1;
  fit_report fit;       ///< nodes removed by each constraint, nearest fit, what is missing there
  std::string nearest;  ///< name of that node; empty when none comes near
  std::string what;     ///< what is asked for on devices ("H100 of rack b"), empty without devices
  std::int64_t there_milli = 0;  ///< such devices in the cluster, and how much of them is free
  std::int64_t free_milli = 0;
  std::int64_t wanted_milli = 0;                ///< of one job
  std::map<std::string, std::int64_t> holders;  ///< team → milli of such devices
  std::optional<quota_limit> quota;
  std::string quota_team;
  std::optional<promise> kept_for;  ///< when `promised`
  std::string kept_for_name;
  std::string kept_for_team;
  std::optional<maintenance> window;  ///< when `maintenance`
  std::vector<std::string>
      remedies;  ///< what would let it start now, a sentence part each ("2 more such nodes")
  std::string
      fault;  ///< when `impossible` because the demand itself makes no sense: what is wrong with it
  /// When `impossible` for want of room: the most ranks of the gang that the cluster holds when it is empty.
  std::optional<std::uint32_t> ranks_most;
  std::uint32_t ranks_least = 1;  ///< what it would have to be
  std::optional<expectation> expected;
  bool foretold =
      false;  ///< whether a start was looked for; there is none when it waits for work without a limit
};

/// How times of day are printed: `now` counts from midnight of some day of this offset.
struct explain_options {
  std::chrono::minutes utc_offset{0};
  bool with_expectation = true;  ///< false saves a simulation
};

/// Why the waiting jobs of a line wait. Errors: `missing`/"no_such_line".
/// Cost: O(nodes x devices), and a simulation for the expected start.
[[nodiscard]] result<explanation> explain(const work_queue& queue,
                                          instant now,
                                          line_id line,
                                          const explain_options& options = {});

/// Why a demand is refused, or what would happen to it; nothing is submitted.
[[nodiscard]] explanation explain(const work_queue& queue,
                                  instant now,
                                  const submission& work,
                                  const explain_options& options = {});

/// The explanation in words: one sentence, then remedies and the expected start.
[[nodiscard]] std::string in_words(const explanation& of, const explain_options& options = {});

/// "14:05" of the day `when` lies in.
[[nodiscard]] std::string clock_time(instant when, const explain_options& options = {});

}  // namespace berth::sched
