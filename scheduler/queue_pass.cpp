// Turns, starts, backfill and growth: one pass over what waits.
#include "runtime/base/ensure.hpp"
#include "scheduler/queue.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <unordered_set>

namespace berth::sched {

/// Whose turn it is. Each team's lines stand in the order of urgency and arrival, the first of them last; between teams the urgency of their
/// first lines decides, then what the teams used. A line leaves when it is blocked, or has no job left to start.
class work_queue::turns {
 public:
  turns(work_queue& queue, std::int64_t urgency_max) : queue_(queue) {
    for (auto& [id, line] : queue.lines_) {
      if (line.hold == hold_state::held || line.waiting() == 0) continue;
      of_team_[line.team].push_back({std::min(queue.urgency(line), urgency_max), line.arrived, id});
      standing_.insert(id);
    }
    // The next one stands last, where it is cheap to take away.
    for (auto& [team, entries] : of_team_)
      std::sort(entries.begin(), entries.end(), [](const entry& a, const entry& b) {
        if (a.urgency != b.urgency) return a.urgency < b.urgency;
        return std::pair(a.arrived, a.id) > std::pair(b.arrived, b.id);
      });
  }

  /// The next line to try, or nothing. Whoever has a promise goes first among those that may not go before it.
  [[nodiscard]] std::optional<line_id> next() {
    const auto first = first_of_all();
    if (!first) return std::nullopt;
    if (const auto holder = waiting_holder(); holder && *holder != *first) {
      const auto& line = queue_.lines_.at(*first);
      if (!queue_.goes_before_promise(line, queue_.next_job(*first, line))) return holder;
    }
    return first;
  }

  /// The line is blocked, or all its jobs have started.
  void leave(line_id id) {
    standing_.erase(id);
    auto& entries = of_team_.at(queue_.lines_.at(id).team);
    while (!entries.empty() && !standing_.contains(entries.back().id))
      entries.pop_back();
  }

 private:
  struct entry {
    std::int64_t urgency;
    instant arrived;
    line_id id;
  };

  [[nodiscard]] std::optional<line_id> first_of_all() const {
    const entry* best = nullptr;
    team_id of = 0;
    for (const auto& [team, entries] : of_team_) {
      if (entries.empty()) continue;
      const auto& one = entries.back();
      if (best == nullptr || goes_before(one, team, *best, of)) {
        best = &one;
        of = team;
      }
    }
    return best == nullptr ? std::nullopt : std::optional(best->id);
  }

  [[nodiscard]] bool goes_before(const entry& a, team_id of_a, const entry& b, team_id of_b) const {
    if (a.urgency != b.urgency) return a.urgency > b.urgency;
    const int turn = queue_.teams_.compare_turn(of_a, of_b, queue_.options_.ahead);
    if (turn != 0) return turn < 0;
    return std::pair(a.arrived, a.id) < std::pair(b.arrived, b.id);
  }

  [[nodiscard]] std::optional<line_id> waiting_holder() const {
    if (!queue_.promise_) return std::nullopt;
    const auto id = queue_.promise_->job.line;
    return standing_.contains(id) ? std::optional(id) : std::nullopt;
  }

  work_queue& queue_;
  std::map<team_id, std::vector<entry>> of_team_;
  std::unordered_set<line_id> standing_;
};

/// Priority, and one more for every stretch of ageing that has been waited.
std::int64_t work_queue::urgency(const line_state& line) const {
  return line.wanted.priority + (now_ - line.arrived) / options_.ageing;
}

bool work_queue::goes_before_promise(const line_state& line, job_id job) const {
  if (!promise_ || job.line == promise_->job.line) return false;
  const auto holder = lines_.find(promise_->job.line);
  const bool never_ran = !line.again.contains(job.index);
  return never_ran && holder != lines_.end() && line.wanted.priority > urgency(holder->second);
}

void work_queue::pass() {
  if (blocked_at_ != loosened_) {
    blocked_.clear();
    blocked_at_ = loosened_;
  }
  evictions_tried_.clear();
  may_evict_later_ = false;
  std::int64_t urgency_max = std::numeric_limits<std::int32_t>::min();
  for (const auto& [id, line] : lines_)
    if (line.hold == hold_state::free && line.waiting() > 0)
      urgency_max = std::max<std::int64_t>(urgency_max, line.wanted.priority);

  turns order(*this, urgency_max);
  auto at = turn::first_blocked;
  while (const auto id = order.next()) {
    auto& line = lines_.at(*id);
    const auto outcome = try_line(*id, line, at);
    if (outcome == tried::started || outcome == tried::handing_over) {
      if (line.waiting() == 0) order.leave(*id);
      continue;
    }
    order.leave(*id);
    if (outcome == tried::barred_by_quota) continue;
    if (options_.behind == backfill::off) return;
    promise_start(line, next_job(*id, line));
    at = turn::later;
  }
}

work_queue::tried work_queue::try_line(line_id id, line_state& line, turn at) {
  const auto job = next_job(id, line);
  const auto room = room_now(id, line, least_load(line));
  const bool open = room == quota_room::within || room == quota_room::borrows;
  if (open && start_if_room(id, line, job)) return tried::started;
  if (options_.preempting == preemption::allowed && evict_for(id, line, job, room))
    return tried::handing_over;
  if (!open) return tried::barred_by_quota;
  if (at == turn::first_blocked && options_.moving == preemption::allowed
      && move_for(id, line, job))
    return tried::handing_over;
  return tried::blocked;
}

bool work_queue::start_if_room(line_id id, line_state& line, job_id job) {
  const bool ours = promise_ && promise_->job.line == id;
  if (ours) promise_->job = job;  // jobs of a line are alike; one that waits again goes first
  const bool before = goes_before_promise(line, job);
  const auto end = end_of(line.wanted, now_);
  const auto key =
      fmt::format("{} {}", teams_.has_model_quotas(line.team) ? line.team + 1 : 0, line.shape);
  if (!ours && !before)
    if (const auto known = blocked_.find(key);
        known != blocked_.end()
        && (!line.wanted.limit || (known->second && *line.wanted.limit >= *known->second)))
      return false;
  const auto mine = ours ? std::optional(id) : std::nullopt;
  if (const auto where = plan_now(id, line, calendar_.mask(nodes_.size(), now_, end, mine))) {
    take_from_waiting(line, job.index);
    start(line, job, *where);
    return true;
  }
  if (ours && start_as_promised(line, job)) return true;
  if (before) {
    const auto holder = promise_->job.line;
    if (const auto where = plan_now(id, line, calendar_.mask(nodes_.size(), now_, end, holder))) {
      ++counters_.promises_displaced;
      drop_promise();
      pass_again_ = true;
      take_from_waiting(line, job.index);
      start(line, job, *where);
      return true;
    }
    return false;
  }
  if (!ours)
    blocked_.insert_or_assign(
        key, line.wanted.limit ? std::optional(std::chrono::milliseconds(*line.wanted.limit))
                               : std::nullopt);
  return false;
}

/// The promised place itself, when the time has come and another way of planning did not find it.
bool work_queue::start_as_promised(line_state& line, job_id job) {
  if (!promise_->exact || promise_stale_ || now_ < promise_->start) return false;
  if (with_promises(job.line, std::nullopt)
          .room(line.team, load_of(promise_->where), line.wanted.preemptible, nodes_.models())
      > quota_room::borrows)
    return false;
  auto trial = nodes_.reserve(promise_->where);
  if (!trial) return false;
  base::ensure(nodes_.release(*trial).has_value(), "a claim just made is current");
  const auto where = promise_->where;
  take_from_waiting(line, job.index);
  start(line, job, where);
  return true;
}

// --- quotas ----------------------------------------------------------------------------------------------------------

quota_room work_queue::room_in(const team_tree& teams,
                               const line_state& line,
                               const holding& load) const {
  return teams.room(line.team, load, line.wanted.preemptible, nodes_.models());
}

/// What one job of the line holds at the least.
holding work_queue::least_load(const line_state& line) const {
  return load_wanted(line.wanted, ranks_min(line.wanted));
}

/// Whether what is promised to others counts against this line's quotas.
bool work_queue::promises_bind(line_id id, const line_state& line) const {
  if (!handovers_.empty()) return true;
  if (!promise_ || promise_->job.line == id || !lines_.contains(promise_->job.line)) return false;
  const auto end = end_of(line.wanted, now_);
  return !end || *end > promise_->start;
}

/// The most that the teams hold at any time until all that is promised runs: a start promised to one job of a team must
/// not be used up by its team-mates meanwhile. Handovers end in any order and may be called off: of those who leave and
/// those who come in their stead, whichever hold more count, and never both.
team_tree work_queue::with_promises(line_id except, std::optional<instant> end) const {
  auto teams = teams_;
  if (promise_ && promise_->job.line != except && (!end || *end > promise_->start))
    if (const auto holder = lines_.find(promise_->job.line); holder != lines_.end())
      teams.take(holder->second.team, load_of(promise_->where), holder->second.wanted.preemptible);
  for (const auto& [id, one] : handovers_) {
    auto after = teams;
    count_handover(after, one);
    teams.hold_most_of(after);
  }
  return teams;
}

quota_room work_queue::room_now(line_id id, const line_state& line, const holding& load) const {
  const auto room = room_in(teams_, line, load);
  if (room == quota_room::full || room == quota_room::never || !promises_bind(id, line))
    return room;
  return room_in(with_promises(id, end_of(line.wanted, now_)), line, load);
}

/// The most ranks an elastic gang may start with.
std::uint32_t work_queue::ranks_within_quota(const team_tree& teams, const line_state& line) const {
  auto ranks = ranks_max(line.wanted);
  const auto fits = [&](std::uint32_t some) {
    return room_in(teams, line, load_wanted(line.wanted, some)) <= quota_room::borrows;
  };
  while (ranks > ranks_min(line.wanted) && !fits(ranks))
    --ranks;
  return ranks;
}

std::optional<placement> work_queue::plan_now(line_id id,
                                              const line_state& line,
                                              const node_mask* allowed) {
  if (!promises_bind(id, line))
    return plan_within_quota(teams_, nodes_, *policy_.it, line, allowed);
  const auto teams = with_promises(id, end_of(line.wanted, now_));
  return plan_within_quota(teams, nodes_, *policy_.it, line, allowed);
}

/// Which models are used of a node with several is known only once it is planned: when that exceeds a quota, the nodes
/// with that model are left out and it is planned again.
std::optional<placement> work_queue::plan_within_quota(const team_tree& teams,
                                                       inventory& nodes,
                                                       policy& by,
                                                       const line_state& line,
                                                       const node_mask* allowed) const {
  const auto ranks = ranks_within_quota(teams, line);
  std::optional<demand> smaller;
  if (ranks < ranks_max(line.wanted)) {
    smaller = line.wanted;
    if (smaller->gang)
      smaller->gang->ranks_max = ranks;
    else
      smaller->replicas = ranks;
  }
  const auto& wanted = smaller ? *smaller : line.wanted;
  const auto caps = teams.model_caps(line.team, wanted.preemptible, nodes.models());
  auto placed = plan(nodes, by, wanted, {allowed, {}, caps});
  if (caps.empty()) return placed ? std::optional(*placed) : std::nullopt;
  node_mask narrowed =
      allowed != nullptr ? *allowed : node_mask(nodes.size() + score_mask_padding, 0xFF);
  for (std::size_t round = 0; placed && round <= nodes.models().size(); ++round) {
    const auto load = load_of(*placed);
    const auto over =
        std::find_if(load.by_model.begin(), load.by_model.end(), [&](const auto& one) {
          return teams.room(line.team, {one.second, {one}}, wanted.preemptible, nodes.models())
                 > quota_room::borrows;
        });
    if (over == load.by_model.end()) return *placed;
    for (node_id node = 0; node < nodes.size(); ++node)
      if ((nodes.kind(node).models >> over->first & 1U) != 0) narrowed[node] = 0;
    placed = plan(nodes, by, wanted, {&narrowed, {}, caps});
  }
  return std::nullopt;
}

// --- growth ----------------------------------------------------------------------------------------------------------

/// Further ranks for a gang as near as can be; further replicas wherever the policy likes, spread from those there are.
result<placement> work_queue::plan_more(const demand& wanted,
                                        const placement& held,
                                        std::uint32_t more,
                                        const plan_options& options) {
  if (wanted.gang) return plan_growth(nodes_, *policy_.it, wanted, held, more, options);
  auto rest = wanted;
  rest.replicas = more;
  auto beside = options;
  beside.companions = held.ranks;
  return plan(nodes_, *policy_.it, rest, beside);
}

void work_queue::grow_gangs() {
  if (grown_at_ == loosened_) return;
  grown_at_ = loosened_;
  for (auto& [job, state] : jobs_) {
    const auto& wanted = lines_.at(job.line).wanted;
    if (!state.leaving_for && state.where.ranks.size() < ranks_max(wanted)) grow(job, state);
  }
}

void work_queue::grow(job_id job, job_state& state) {
  const auto& line = lines_.at(job.line);
  const auto teams = with_promises(0, state.ends);
  auto more = ranks_max(line.wanted) - static_cast<std::uint32_t>(state.where.ranks.size());
  while (more > 0 && room_in(teams, line, load_wanted(line.wanted, more)) > quota_room::borrows)
    --more;
  if (more == 0) return;
  const auto* const allowed = calendar_.mask(nodes_.size(), now_, state.ends);
  const auto caps = teams.model_caps(line.team, line.wanted.preemptible, nodes_.models());
  const auto extra = plan_more(line.wanted, state.where, more, {allowed, {}, caps});
  if (!extra) return;
  const auto load = load_of(*extra);
  if (room_in(teams, line, load) > quota_room::borrows) return;
  auto held = nodes_.grow(state.held, *extra);
  base::ensure(held.has_value(), "planned growth can be reserved");
  state.held = *held;
  state.where.ranks.insert(state.where.ranks.end(), extra->ranks.begin(), extra->ranks.end());
  measure(nodes_, state.where);
  hold_as(job, state, load_of(state.where));
  emit({act::grown, job, now_, *extra, {}, {}, {}, 0});
}

}  // namespace berth::sched
