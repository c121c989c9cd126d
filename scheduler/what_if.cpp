#include "scheduler/what_if.hpp"

#include <algorithm>

namespace berth::sched {
namespace {

result<std::vector<line_id>> apply(work_queue& queue, instant now, const change& changed) {
  std::vector<line_id> lines;
  for (const auto& node : changed.nodes)
    if (auto added = queue.add_node(node); !added) return std::move(added).error();
  for (const auto node : changed.drained)
    queue.set_condition(now, node, node_condition::drained);
  for (const auto line : changed.cancelled)
    if (auto done = queue.cancel(now, line); !done) return std::move(done).error();
  for (const auto job : changed.ended)
    if (auto done = queue.finished(now, job); !done) return std::move(done).error();
  for (const auto& work : changed.work) {
    auto line = queue.submit(now, work);
    if (!line) return std::move(line).error();
    lines.push_back(*line);
  }
  return lines;
}

std::optional<expectation> run_until_start(work_queue& queue,
                                           instant now,
                                           line_id line,
                                           std::size_t events_max) {
  expectation found;
  const auto horizon = now + expectation_ahead_max;
  for (std::size_t events = 0; events < events_max; ++events) {
    for (auto& one : queue.advance(now)) {
      if (one.what == act::started && one.job.line == line) {
        found.start = one.at;
        found.where = *one.where;
        return found;
      }
      found.before.push_back(std::move(one));
    }
    const auto next = queue.wake();
    const auto view = queue.line(line);
    if (!next || *next > horizon || !view || view->hold == hold_state::held) return std::nullopt;
    // Reviews alone never end; without anything that ends by itself there is nothing to wait for.
    const auto jobs = queue.jobs();
    const bool something_ends = std::any_of(jobs.begin(), jobs.end(), [](const job_view& job) {
      return job.ends || job.making_room_for;
    });
    if (!something_ends && queue.windows().empty() && !queue.promised()) return std::nullopt;
    now = *next;
  }
  return std::nullopt;
}

}  // namespace

result<prediction> what_if(const work_queue& queue, instant now, const change& changed) {
  const auto copy = queue.clone();
  auto lines = apply(*copy, now, changed);
  if (!lines) return std::move(lines).error();
  return prediction{std::move(*lines), copy->advance(now)};
}

std::optional<expectation> expected_start(const work_queue& queue,
                                          instant now,
                                          line_id line,
                                          std::size_t events_max) {
  return run_until_start(*queue.clone(), now, line, events_max);
}

result<std::optional<expectation>> expected_start_if(const work_queue& queue,
                                                     instant now,
                                                     const change& changed,
                                                     line_id line) {
  const auto copy = queue.clone();
  if (auto applied = apply(*copy, now, changed); !applied) return std::move(applied).error();
  return run_until_start(*copy, now, line, expectation_events_max);
}

}  // namespace berth::sched
