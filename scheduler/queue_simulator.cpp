#include "scheduler/queue_simulator.hpp"

#include "runtime/base/ensure.hpp"
#include "scheduler/random_source.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>

namespace berth::sched {

std::vector<std::chrono::milliseconds> queue_report::waits() const {
  std::vector<std::chrono::milliseconds> all;
  for (const auto& [job, record] : jobs)
    if (record.first_start) all.push_back(*record.first_start - arrived.at(record.arrival));
  std::sort(all.begin(), all.end());
  return all;
}

double queue_report::wait_mean_ms() const {
  const auto all = waits();
  if (all.empty()) return 0;
  const auto sum = std::accumulate(all.begin(), all.end(), std::chrono::milliseconds(0));
  return static_cast<double>(sum.count()) / static_cast<double>(all.size());
}

double queue_report::utilisation_pct() const {
  const auto there = static_cast<double>(capacity_milli) * static_cast<double>(end.count());
  return there == 0 ? 0 : 100.0 * static_cast<double>(consumed) / there;
}

result<std::unique_ptr<queue_simulation>> queue_simulation::make(const queue_trace& trace,
                                                                 const queue_options& options) {
  inventory nodes;
  for (const auto& spec : trace.nodes)
    if (auto added = nodes.add(spec); !added) return std::move(added).error();
  auto queue = work_queue::make(std::move(nodes), options);
  if (!queue) return std::move(queue).error();
  for (const auto& team : trace.teams)
    if (auto set = (*queue)->set_team(team); !set) return std::move(set).error();
  const auto early = std::adjacent_find(
      trace.arrivals.begin(), trace.arrivals.end(),
      [](const queue_arrival& a, const queue_arrival& b) { return b.at < a.at; });
  if (early != trace.arrivals.end())
    return fail(kind::invalid, "bad_trace",
                fmt::format("arrival {} comes before the one above it; sort the trace by time",
                            early - trace.arrivals.begin() + 1));
  std::unique_ptr<queue_simulation> made(new queue_simulation(trace));
  made->queue_ = std::move(*queue);
  made->report_.capacity_milli = made->queue_->nodes().total().gpu_milli;
  for (const auto& one : trace.arrivals)
    made->report_.arrived.push_back(one.at);
  return made;
}

bool queue_simulation::step(std::optional<instant> until) {
  std::optional<instant> next;
  const auto consider = [&](instant when) {
    if (!next || when < *next) next = when;
  };
  if (next_arrival_ < trace_->arrivals.size()) consider(trace_->arrivals[next_arrival_].at);
  if (!finishes_.empty()) consider(finishes_.begin()->first);
  // A queue's own wish to be woken counts only while something runs or is to come: nothing changes otherwise.
  if (const auto wake = queue_->wake(); wake && (next || !queue_->lines().empty())) consider(*wake);
  if (!next || (until && *next > *until)) return false;
  const auto now = *next;
  while (!finishes_.empty() && finishes_.begin()->first <= now) {
    const auto job = finishes_.begin()->second;
    stop_running(job);
    base::ensure(queue_->finished(now, job).has_value(), "a job that ends runs");
    report_.jobs.at(job).end = now;
  }
  while (next_arrival_ < trace_->arrivals.size() && trace_->arrivals[next_arrival_].at <= now)
    arrive(next_arrival_++);
  for (const auto& one : queue_->advance(now))
    note(one);
  report_.end = now;
  return true;
}

void queue_simulation::run(std::optional<instant> until) {
  while (step(until)) {
  }
  if (until && *until > report_.end) {
    for (const auto& one : queue_->advance(*until))
      note(one);
    report_.end = *until;
  }
}

std::chrono::milliseconds queue_simulation::run_of(line_id line) const {
  return trace_->arrivals.at(arrival_of_.at(line)).run;
}

void queue_simulation::arrive(std::size_t arrival) {
  const auto& one = trace_->arrivals[arrival];
  auto line = queue_->submit(one.at, one.work);
  if (!line) {
    report_.refused.emplace_back(arrival, std::move(line).error());
    return;
  }
  arrival_of_.emplace(*line, arrival);
  for (std::uint32_t index = 0; index < one.work.count; ++index)
    report_.jobs[{*line, index}].arrival = arrival;
}

void queue_simulation::stop_running(job_id job) {
  if (const auto found = finish_of_.find(job); found != finish_of_.end()) {
    finishes_.erase({found->second, job});
    finish_of_.erase(found);
  }
}

void queue_simulation::note(const effect& one) {
  auto& record = report_.jobs.at(one.job);
  switch (one.what) {
    case act::started: {
      if (!record.first_start) record.first_start = one.at;
      record.last_start = one.at;
      ++record.starts;
      const auto end = one.at + run_of(one.job.line);
      finish_of_[one.job] = end;
      finishes_.emplace(end, one.job);
      break;
    }
    case act::overran:
      record.end = one.at;
      [[fallthrough]];
    case act::evicted:
    case act::moved:
    case act::lost:
    case act::cancelled:
      stop_running(one.job);
      break;
    case act::grown:
    case act::leave:
    case act::stay:
    case act::reduced:
    case act::promised:
      break;
  }
  if (on_effect_) on_effect_(one);
}

queue_report queue_simulation::report() const {
  auto made = report_;
  made.counters = queue_->counters();
  const auto& teams = queue_->teams();
  for (team_id team = 0; team < teams.size(); ++team) {
    auto& one = made.teams[teams.spec(team).name];
    one.weight = teams.spec(team).weight;
    one.consumed = teams.consumed(team);
    if (teams.spec(team).parent.empty()) made.consumed += teams.consumed(team);
  }
  for (const auto& [job, record] : made.jobs) {
    if (!record.first_start) continue;
    const auto& arrival = trace_->arrivals[record.arrival];
    auto& team = made.teams[arrival.work.wanted.team];
    const auto wait = *record.first_start - arrival.at;
    ++team.jobs_started;
    team.wait_total += wait;
    team.wait_max = std::max(team.wait_max, wait);
  }
  return made;
}

queue_trace make_queue_trace(const queue_trace_shape& shape, std::uint64_t seed) {
  random_source random(seed);
  const auto one_of = [&](const auto& list) {
    return list[random.below(static_cast<std::uint32_t>(list.size()))];
  };
  queue_trace trace;
  trace.nodes = shape.nodes;
  trace.teams = shape.teams;
  std::int64_t capacity = 0;
  for (const auto& node : shape.nodes)
    capacity += static_cast<std::int64_t>(node.topology.devices.size()) * 1000;
  const auto run_span = static_cast<std::uint32_t>((shape.run_max - shape.run_min).count() + 1);
  gpu_time work = 0;
  for (std::uint32_t i = 0; i < shape.lines; ++i) {
    queue_arrival one;
    auto& wanted = one.work.wanted;
    wanted.name = fmt::format("job-{}", i);
    wanted.each.gpus = one_of(shape.gpus);
    wanted.each.gpu_milli = 1000;
    wanted.each.cpu_milli = wanted.each.gpus * 4000;
    wanted.each.memory_mib = wanted.each.gpus * 16384;
    if (random.below(100) < shape.gang_pct) {
      const auto ranks = 2 + random.below(3);
      wanted.gang = gang_wish{ranks, ranks};
    }
    if (!shape.teams.empty()) wanted.team = one_of(shape.teams).name;
    wanted.priority =
        static_cast<std::int32_t>(random.below(static_cast<std::uint32_t>(shape.priority_max) + 1));
    if (random.below(100) < shape.preemptible_pct) wanted.preemptible = preemption::allowed;
    one.run = shape.run_min + std::chrono::milliseconds(random.below(run_span));
    wanted.limit = one.run * (100 + random.below(shape.limit_pct_max - 99)) / 100;
    work += static_cast<gpu_time>(wanted.each.milli()) * ranks_min(wanted) * one.run.count();
    trace.arrivals.push_back(std::move(one));
  }
  // Arrivals spread evenly at random over the time in which the cluster could do so much work.
  const auto span = static_cast<double>(work) * 100.0
                    / (static_cast<double>(capacity) * static_cast<double>(shape.load_pct));
  std::vector<std::int64_t> times;
  for (std::uint32_t i = 0; i < shape.lines; ++i)
    times.push_back(static_cast<std::int64_t>(span * static_cast<double>(random.next() >> 11)
                                              / 9007199254740992.0));
  std::sort(times.begin(), times.end());
  for (std::uint32_t i = 0; i < shape.lines; ++i)
    trace.arrivals[i].at = instant(times[i]);
  return trace;
}

}  // namespace berth::sched
