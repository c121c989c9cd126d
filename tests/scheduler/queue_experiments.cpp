#include "tests/scheduler/queue_experiments.hpp"

#include "scheduler/defragment.hpp"
#include "scheduler/random_source.hpp"
#include "scheduler/what_if.hpp"
#include "tests/scheduler/queue_support.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace berth::sched::test {
namespace {

/// Work of one team, enough of it that some always waits: jobs of one device, one to five minutes.
void keep_busy(queue_trace& trace,
               random_source& random,
               const std::string& team,
               instant from,
               std::size_t jobs) {
  for (std::size_t i = 0; i < jobs; ++i) {
    queue_arrival one;
    one.at = from;
    one.work.wanted = gpus_for(team, 1, fmt::format("{}-{}", team, i));
    one.work.wanted.preemptible = preemption::allowed;
    one.run = seconds(60 + random.below(240));
    one.work.wanted.limit = one.run;
    trace.arrivals.push_back(std::move(one));
  }
}

queue_trace two_teams() {
  queue_trace trace;
  trace.nodes = equal_nodes(3, 4);
  trace.teams = {{"heavy", "", 2, {}, {}, 0}, {"light", "", 1, {}, {}, 0}};
  return trace;
}

}  // namespace

share_figures share_saturated(std::uint64_t seed) {
  random_source random(seed);
  auto trace = two_teams();
  keep_busy(trace, random, "heavy", instant(0), 400);
  keep_busy(trace, random, "light", instant(0), 400);
  queue_options options;
  options.policy = "pack";
  auto simulation = queue_simulation::make(trace, options).value();
  simulation->run(hours(1));
  const auto report = simulation->report();
  return {static_cast<double>(report.teams.at("heavy").consumed)
              / static_cast<double>(report.teams.at("light").consumed),
          report.counters.evicted};
}

return_figures share_returning(std::uint64_t seed) {
  random_source random(seed);
  auto trace = two_teams();
  keep_busy(trace, random, "heavy", instant(0), 400);
  const instant back = minutes(20) + seconds(random.below(600));
  keep_busy(trace, random, "light", back, 50);
  queue_options options;
  options.policy = "pack";
  auto simulation = queue_simulation::make(trace, options).value();
  simulation->run(back + options.grace);
  const auto& teams = simulation->queue().teams();
  const auto capacity = simulation->queue().nodes().total().gpu_milli;
  return {teams.held(*teams.find("light")), capacity / 3};
}

backfill_figures backfill_traces(std::uint64_t seed, std::size_t traces) {
  backfill_figures figures;
  double with = 0;
  double without = 0;
  for (std::size_t i = 0; i < traces; ++i) {
    queue_trace_shape shape;
    random_source random(seed + i);
    shape.nodes = equal_nodes(2 + random.below(7), 8);
    shape.lines = 100 + random.below(100);
    shape.gang_pct = random.below(15);
    shape.load_pct = 80 + random.below(50);
    const auto trace = make_queue_trace(shape, seed + i);
    std::array<queue_report, 2> reports;
    for (const auto behind : {backfill::easy, backfill::off}) {
      queue_options options;
      options.policy = "pack";
      options.behind = behind;
      auto simulation = queue_simulation::make(trace, options).value();
      // A promise, told from outside: the job it names has started by then.
      std::map<job_id, instant> promised;
      simulation->on_effect([&](const effect& one) {
        if (one.what == act::promised) {
          promised.insert_or_assign(one.job, *one.until);
          ++figures.promises;
        }
        if (one.what != act::started) return;
        const auto found = promised.find(one.job);
        if (found == promised.end()) return;
        figures.late += one.at > found->second;
        promised.erase(found);
      });
      simulation->run();
      figures.late += promised.size();
      reports[behind == backfill::off] = simulation->report();
    }
    with += reports[0].wait_mean_ms();
    without += reports[1].wait_mean_ms();
    figures.makespan_ratio_max =
        std::max(figures.makespan_ratio_max, static_cast<double>(reports[0].end.count())
                                                 / static_cast<double>(reports[1].end.count()));
    ++figures.traces;
  }
  figures.wait_ratio = with / without;
  return figures;
}

// --- predictions -----------------------------------------------------------------------------------------------------

namespace {

/// Everything a question might disturb.
std::string fingerprint(const work_queue& queue) {
  std::string text = fmt::format("{} {} {}", queue.nodes().revision(), queue.nodes().claims(),
                                 queue.now().count());
  for (const auto& line : queue.lines())
    text += fmt::format(" {}:{}/{}/{}/{}", line.id, line.waiting, line.running, line.done,
                        line.leaving_for);
  for (const auto& job : queue.jobs())
    for (const auto& rank : job.where->ranks)
      text += fmt::format(" {}.{}@{}:{:x}", job.id.line, job.id.index, rank.node, rank.devices);
  for (team_id team = 0; team < queue.teams().size(); ++team)
    text += fmt::format(" {}={}", team, queue.teams().use(team));
  return text;
}

queue_trace_shape shape_for_questions(random_source& random) {
  queue_trace_shape shape;
  shape.nodes = equal_nodes(2 + random.below(4), 8);
  shape.teams = {{"x", "", 2, {}, {}, 0}, {"y", "", 1, 24000, {}, 8000}};
  shape.lines = 40;
  shape.gang_pct = 10;
  shape.load_pct = 150;
  shape.preemptible_pct = 50;
  shape.priority_max = 1;
  return shape;
}

change random_change(random_source& random, const work_queue& queue, std::uint64_t number) {
  change changed;
  const auto sort = random.below(4);
  if (sort == 0)
    for (int i = 0; i < 2; ++i)
      changed.nodes.push_back(node_of(fmt::format("more-{}-{}", number, i), 8));
  if (sort == 1 && !queue.lines().empty()) {
    const auto lines = queue.lines();
    changed.cancelled.push_back(lines[random.below(static_cast<std::uint32_t>(lines.size()))].id);
  }
  if (sort != 1) {
    submission work;
    work.wanted = gpus_for(random.below(2) == 0 ? "x" : "y",
                           static_cast<std::uint16_t>(1 + random.below(8)), "asked");
    work.wanted.priority = static_cast<std::int32_t>(random.below(3));
    work.wanted.limit = minutes(5 + random.below(60));
    work.count = 1 + random.below(3);
    changed.work.push_back(std::move(work));
  }
  return changed;
}

/// Does for real what was asked about. The answer has the same words. Where the work is refused, nothing of it is done.
result<prediction> do_it(work_queue& queue, instant now, const change& changed) {
  prediction done;
  for (const auto& node : changed.nodes)
    (void)queue.add_node(node).value();
  for (const auto line : changed.cancelled)
    queue.cancel(now, line).value();
  for (const auto& work : changed.work)
    if (auto line = queue.submit(now, work))
      done.lines.push_back(*line);
    else
      return std::move(line).error();
  done.effects = queue.advance(now);
  return done;
}

/// A queue driven by hand through a trace: jobs end at their limits.
void drive(work_queue& queue,
           const queue_trace& trace,
           std::size_t& next,
           instant until,
           std::vector<effect>* heard = nullptr) {
  while (true) {
    std::optional<instant> now;
    if (next < trace.arrivals.size()) now = trace.arrivals[next].at;
    if (const auto wake = queue.wake(); wake && (!now || *wake < *now)) now = *wake;
    if (!now || *now > until) return;
    while (next < trace.arrivals.size() && trace.arrivals[next].at <= *now) {
      (void)queue.submit(*now, trace.arrivals[next].work);  // some is too large, and refused
      ++next;
    }
    for (auto& one : queue.advance(*now))
      if (heard != nullptr) heard->push_back(std::move(one));
  }
}

}  // namespace

prediction_figures predictions(std::uint64_t seed, std::size_t questions) {
  prediction_figures figures;
  for (std::uint64_t round = 0; figures.asked < questions; ++round) {
    random_source random(seed + round);
    const auto trace = make_queue_trace(shape_for_questions(random), seed + round);
    queue_options options;
    options.policy = round % 2 == 0 ? "fill" : "fgd";
    auto queue = queue_on(trace.nodes, options);
    for (const auto& team : trace.teams)
      (void)queue->set_team(team).value();
    std::size_t next = 0;
    // What would follow at once.
    for (std::uint64_t i = 0; i < 8 && figures.asked < questions; ++i) {
      const auto now = trace.arrivals[(i + 1) * 4].at;
      drive(*queue, trace, next, now);
      const auto changed = random_change(random, *queue, i);
      const auto before = fingerprint(*queue);
      const auto told = what_if(*queue, now, changed);
      figures.disturbed += fingerprint(*queue) != before;
      const auto done = do_it(*queue, now, changed);
      figures.right += told && done ? told->lines == done->lines && told->effects == done->effects
                                    : !told && !done && told.error() == done.error();
      ++figures.asked;
    }
    // When and where each line that waits will start, once nothing else arrives.
    const auto last = trace.arrivals.back().at;
    drive(*queue, trace, next, last);
    std::map<line_id, std::optional<expectation>> told;
    const auto before = fingerprint(*queue);
    for (const auto& line : queue->lines())
      if (line.waiting > 0 && figures.asked + told.size() < questions)
        told.emplace(line.id, expected_start(*queue, queue->now(), line.id));
    figures.disturbed += fingerprint(*queue) != before;
    std::vector<effect> heard;
    drive(*queue, trace, next, last + hours(1000), &heard);
    for (const auto& [line, one] : told) {
      const auto found = std::find_if(heard.begin(), heard.end(), [&](const effect& happened) {
        return happened.what == act::started && happened.job.line == line;
      });
      ++figures.asked;
      figures.right +=
          one && found != heard.end() && found->at == one->start && *found->where == one->where;
    }
  }
  return figures;
}

// --- moves -----------------------------------------------------------------------------------------------------------

namespace {

struct fragmented {
  inventory nodes;
  std::vector<demand> wanted;  ///< of the running jobs
  std::vector<claim> held;
  demand gang;
};

fragmented random_fragments(random_source& random) {
  fragmented made;
  const auto nodes = 2 + random.below(5);
  const std::size_t gpus = 2 + 2 * random.below(2);
  for (std::uint32_t i = 0; i < nodes; ++i) {
    auto spec = node_of(fmt::format("n{}", i), gpus);
    spec.cpu_milli = 4000 + 1000 * random.below(8);
    (void)made.nodes.add(spec).value();
  }
  const auto jobs = 2 + random.below(5);
  auto by = make_policy("random", {random.next(), {}, 1 << 20}).value();
  for (std::uint32_t i = 0; i < jobs; ++i) {
    auto one = gpus_for("x", 1, fmt::format("j{}", i));
    const auto sort = random.below(3);
    if (sort == 1) one.each.gpu_milli = static_cast<std::uint16_t>(200 + 100 * random.below(6));
    if (sort == 2) one.each.gpus = 2;
    one.each.cpu_milli = static_cast<std::int32_t>(500 + 500 * random.below(4));
    const auto placed = plan(made.nodes, *by, one);
    if (!placed) continue;
    made.held.push_back(made.nodes.reserve(*placed).value());
    made.wanted.push_back(one);
  }
  made.gang = gpus_for("y", static_cast<std::uint16_t>(1 + random.below(gpus)), "gang");
  const auto ranks = 1 + random.below(2);
  made.gang.gang = gang_wish{ranks, ranks};
  return made;
}

/// Whether the gang and all `away` jobs find places, tried in every way: each job on each node and each set of devices,
/// each rank of the gang likewise. Written without the code it checks.
class all_ways {
 public:
  all_ways(inventory& nodes, const fragmented& from) : nodes_(nodes), from_(from) {}

  bool fit(const std::vector<std::size_t>& away) {
    std::vector<const demand*> items;
    for (std::uint32_t rank = 0; rank < from_.gang.gang->ranks_min; ++rank)
      items.push_back(&from_.gang);
    for (const auto one : away)
      items.push_back(&from_.wanted[one]);
    return place(items, 0);
  }

 private:
  bool place(const std::vector<const demand*>& items, std::size_t at) {
    if (at == items.size()) return true;
    const auto& each = items[at]->each;
    for (node_id node = 0; node < nodes_.size(); ++node) {
      const auto devices = nodes_.row(node).devices;
      for (std::uint64_t set = 0; set < (1ULL << devices); ++set) {
        if (static_cast<std::uint16_t>(std::popcount(set)) != each.gpus) continue;
        const auto held = nodes_.reserve({each, {{node, set}}, proximity::device, 0});
        if (!held) continue;
        const bool done = place(items, at + 1);
        (void)nodes_.release(*held);
        if (done) return true;
      }
    }
    return false;
  }

  inventory& nodes_;
  const fragmented& from_;
};

std::optional<std::size_t> fewest_by_brute_force(const fragmented& from) {
  const auto jobs = from.held.size();
  std::optional<std::size_t> fewest;
  for (std::uint32_t set = 0; set < (1U << jobs); ++set) {
    const auto count = static_cast<std::size_t>(std::popcount(set));
    if (fewest && count >= *fewest) continue;
    auto nodes = from.nodes;
    std::vector<std::size_t> away;
    for (std::size_t job = 0; job < jobs; ++job)
      if ((set >> job & 1U) != 0) {
        away.push_back(job);
        nodes.release(from.held[job]).value();
      }
    if (all_ways(nodes, from).fit(away)) fewest = count;
  }
  return fewest;
}

/// Carries a plan out; false when a step of it is impossible.
bool works(const fragmented& from, const relocation_plan& planned) {
  auto nodes = from.nodes;
  for (const auto& move : planned.moves)
    nodes.release(from.held[move.who]).value();
  for (const auto& move : planned.moves)
    if (!nodes.reserve(move.to)) return false;
  return planned.where.ranks.size() == from.gang.gang->ranks_min
         && nodes.reserve(planned.where).has_value();
}

}  // namespace

move_figures moves_against_brute_force(std::uint64_t seed, std::size_t clusters) {
  move_figures figures;
  for (std::size_t i = 0; figures.clusters < clusters; ++i) {
    random_source random(seed + i);
    const auto from = random_fragments(random);
    auto nodes = from.nodes;
    auto by = make_policy("bestfit").value();
    if (plan(nodes, *by, from.gang)) continue;  // nothing is in its way
    ++figures.clusters;
    std::vector<movable> jobs;
    for (std::size_t job = 0; job < from.held.size(); ++job)
      jobs.push_back({from.held[job], &from.wanted[job], {}, 0});
    const auto fewest = fewest_by_brute_force(from);
    const auto found = fewest_moves(nodes, *by, from.gang, jobs, {});
    figures.solvable += fewest.has_value();
    const bool agree = fewest.has_value() == found.has_value()
                       && (!found || (found->moves.size() == *fewest && works(from, *found)));
    figures.wrong += !agree;
  }
  return figures;
}

}  // namespace berth::sched::test
