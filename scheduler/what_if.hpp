#pragma once
// What if: the queue's answer to a change that is not made.
//
// A change is applied to a copy of the queue, and the copy is asked. Nothing here touches the queue itself.

#include "scheduler/queue.hpp"

#include <berth/error.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace berth::sched {

/// Something that might be done. Empty parts change nothing.
struct change {
  std::vector<node_spec> nodes;  ///< that join ("two more nodes with eight devices")
  std::vector<submission> work;  ///< that arrives
  std::vector<line_id> cancelled;
  std::vector<job_id> ended;  ///< jobs that end by themselves
  std::vector<node_id> drained;
};

struct prediction {
  std::vector<line_id> lines;   ///< numbers the work would get, in order
  std::vector<effect> effects;  ///< what would follow at once
};

/// What would follow at once. Errors: those of the change itself, such as work that is refused.
[[nodiscard]] result<prediction> what_if(const work_queue& queue,
                                         instant now,
                                         const change& changed);

/// When and where the next job of a line will start if nothing else arrives and everything runs to its limit.
struct expectation {
  instant start{0};
  placement where;
  std::vector<effect> before;  ///< what happens until then
};

/// Events looked at before an expectation is given up.
inline constexpr std::size_t expectation_events_max = 10'000;
/// Nor further ahead than ten years: the guesses about work without a limit double for ever.
inline constexpr std::chrono::hours expectation_ahead_max{10 * 365 * 24};

/// Nothing when it is held, or when it waits for work that has no limit. Cost: a simulation until it starts.
[[nodiscard]] std::optional<expectation> expected_start(
    const work_queue& queue,
    instant now,
    line_id line,
    std::size_t events_max = expectation_events_max);

/// The same after a change; `line` may be a number that the change's work gets.
[[nodiscard]] result<std::optional<expectation>> expected_start_if(const work_queue& queue,
                                                                   instant now,
                                                                   const change& changed,
                                                                   line_id line);

}  // namespace berth::sched
