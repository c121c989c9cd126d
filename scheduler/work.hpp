#pragma once
// Work: the words of the queue.
//
// A *line* is what somebody submitted once: one demand, or an array of identical ones. A *job* is one element of a
// line; it waits, runs, and may wait again when it was told to leave. Time is passed in: an `instant` counts
// milliseconds from an origin of the caller's choice (the Unix epoch in service, the start of a trace in a simulation).

#include "scheduler/demand.hpp"
#include "scheduler/placement.hpp"

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>

namespace berth::sched {

using instant = std::chrono::milliseconds;
using line_id = std::uint64_t;

/// Device time: milli-GPU times milliseconds. 10^6 of them are one GPU-second.
using gpu_time = std::int64_t;
inline constexpr gpu_time gpu_time_per_gpu_second = 1'000'000;

/// One element of a line.
struct job_id {
  line_id line = 0;
  std::uint32_t index = 0;
  friend auto operator<=>(const job_id&, const job_id&) = default;
};

enum class hold_state : std::uint8_t { free, held };

/// What is submitted: `count` jobs of the same demand, one line in every list.
struct submission {
  demand wanted;
  std::uint32_t count = 1;
  hold_state hold = hold_state::free;
  friend bool operator==(const submission&, const submission&) = default;
};

/// Replicas or ranks a job of this demand starts with at least, and has at most. Replicas without a gang are independent
/// of each other, so the job starts with the first and grows.
[[nodiscard]] constexpr std::uint32_t ranks_min(const demand& wanted) noexcept {
  return wanted.gang ? wanted.gang->ranks_min : 1;
}

[[nodiscard]] constexpr std::uint32_t ranks_max(const demand& wanted) noexcept {
  return wanted.gang ? wanted.gang->ranks_max : wanted.replicas;
}

/// Why a running job has to make room.
enum class eviction : std::uint8_t {
  priority,  ///< for more urgent work
  quota,     ///< its team runs on borrowed quota that is wanted back
  share,     ///< its team holds more than its share, another less
  moved,     ///< starts again elsewhere at once, so that a gang finds room
};

/// What the queue decided or noticed, in order. The owner carries it out: starts, signals and ends processes.
enum class act : std::uint8_t {
  started,    ///< runs from now on `where`
  grown,      ///< an elastic gang got the ranks in `where` besides those it has
  leave,      ///< tell it to save and stop; ended by force at `until`. `by` then starts
  stay,       ///< what it was to leave for needs its place no longer; tell it to carry on
  evicted,    ///< it is off its devices and waits again; `lost` is the device time spent in vain
  moved,      ///< it is off its old devices (`lost`) and starts on `where`
  overran,    ///< it has run into its limit: end it; it is done
  lost,       ///< its node is gone; it waits again
  reduced,    ///< the replicas in `where` are gone with their node; its others run on
  cancelled,  ///< somebody cancelled its line: end it
  promised,   ///< it will start by `until` at the latest, on the nodes of `where`
};

struct effect {
  act what = act::started;
  job_id job;
  instant at{0};
  std::optional<placement> where;
  std::optional<job_id> by;  ///< for whom (leave, evicted, moved)
  std::optional<eviction> why;
  std::optional<instant> until;
  gpu_time lost = 0;
  friend bool operator==(const effect&, const effect&) = default;
};

/// The word for an act or reason as it is printed.
[[nodiscard]] std::string_view to_string(act what) noexcept;
[[nodiscard]] std::string_view to_string(eviction why) noexcept;

}  // namespace berth::sched
