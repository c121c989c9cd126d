// Making room: who has to leave for whom, and the handing over of what they held.
#include "runtime/base/ensure.hpp"
#include "scheduler/defragment.hpp"
#include "scheduler/eviction_search.hpp"
#include "scheduler/queue.hpp"

#include <algorithm>
#include <bit>
#include <fmt/format.h>
#include <numeric>
#include <utility>

namespace berth::sched {
namespace {

__extension__ using wide = __int128;

std::pair<job_id, job_id> unordered_pair(job_id a, job_id b) {
  return a < b ? std::pair(a, b) : std::pair(b, a);
}

/// What a job starts with: the least it is content with, since it grows by itself.
demand at_least(const demand& wanted) {
  auto least = wanted;
  least.replicas = 1;
  if (least.gang) least.gang->ranks_max = least.gang->ranks_min;
  return least;
}

}  // namespace

// --- who may be asked to leave ---------------------------------------------------------------------------------------

bool work_queue::left_alone(job_id job, const job_state& state, job_id by) const {
  const auto& wanted = lines_.at(job.line).wanted;
  return wanted.preemptible == preemption::never || state.leaving_for
         || state.started + wanted.run_min > now_ || feuds_.contains(unordered_pair(job, by))
         || stands_on_failed(state.where);
}

/// Whether part of a place takes no new work, so that leaving it makes no room there.
bool work_queue::stands_on_failed(const placement& where) const {
  return std::any_of(where.ranks.begin(), where.ranks.end(), [&](const slot& rank) {
    if (nodes_.condition(rank.node) != node_condition::ready) return true;
    for (auto left = rank.devices; left != 0; left &= left - 1)
      if (!nodes_.healthy(rank.node, static_cast<std::uint32_t>(std::countr_zero(left))))
        return true;
    return false;
  });
}

/// The reason for which a job of `other` that holds `held` has to make room for `by`, when there is one.
std::optional<eviction> work_queue::may_evict(const team_tree& teams,
                                              const line_state& by,
                                              const line_state& other,
                                              const holding& held) const {
  if (by.wanted.priority > other.wanted.priority) return eviction::priority;
  if (by.team == other.team) return std::nullopt;
  if (teams.has_quota(by.team)) {
    const auto over = teams.borrowed(other.team, by.team, nodes_.models());
    if (std::any_of(over.begin(), over.end(),
                    [&](const excess& one) { return amount(held, one.of, one.model) > 0; }))
      return eviction::quota;
  }
  if (by.wanted.priority == other.wanted.priority && share_allows(teams, by.team, other.team, 0))
    return eviction::share;
  return std::nullopt;
}

std::int64_t work_queue::due(team_id team) const {
  return teams_.due(team, gpu_milli_total_, [&](team_id one) { return busy_.contains(one); });
}

/// Whether a team may take from another for the sake of shares when `gone` is taken besides: the other must hold more
/// for its weight even afterwards, so that it could not claim the same back.
bool work_queue::share_allows(const team_tree& teams,
                              team_id by,
                              team_id other,
                              std::int64_t gone) const {
  const auto parted = teams.fork(by, other);
  if (!parted) return false;
  const auto [mine, theirs] = *parted;
  const auto weight_mine = static_cast<wide>(teams.spec(mine).weight);
  const auto weight_theirs = static_cast<wide>(teams.spec(theirs).weight);
  if (static_cast<wide>(teams.held(theirs) - gone) * weight_mine
      <= static_cast<wide>(teams.held(mine)) * weight_theirs)
    return false;
  if (returning_.contains(by)) return true;
  const auto behind = static_cast<wide>(due(mine)) * options_.patience.count();
  return (static_cast<wide>(teams.use(mine)) + behind) * weight_theirs
         <= static_cast<wide>(teams.use(theirs)) * weight_mine;
}

/// A team returns when it has work after it had none; until it has its share, or no work waits, it may take at once.
void work_queue::note_returning_teams() {
  std::set<team_id> waiting;
  std::set<team_id> busy;
  for (const auto& [id, line] : lines_) {
    if (line.waiting() > 0 && line.hold == hold_state::free) waiting.insert(line.team);
    if (line.running + line.handing_over > 0 || waiting.contains(line.team)) busy.insert(line.team);
  }
  for (const auto team : busy)
    if (!busy_.contains(team)) returning_.insert(team);
  busy_.clear();
  for (const auto team : busy)
    teams_.each_above(team, [&](team_id one) { busy_.insert(one); });
  std::erase_if(returning_, [&](team_id team) {
    return !waiting.contains(team) || teams_.held(team) >= due(team);
  });
}

// --- evicting --------------------------------------------------------------------------------------------------------

/// With a start promised so soon, nobody needs to leave.
bool work_queue::promise_is_near(job_id job) const {
  return promise_ && promise_->exact && promise_->job.line == job.line
         && promise_->start <= now_ + options_.grace;
}

/// Where work that starts after the grace may go.
node_mask work_queue::mask_after_grace(const demand& wanted, std::optional<line_id> except) const {
  auto bars = calendar_;
  const auto start = now_ + options_.grace;
  if (const auto* const mask = bars.mask(nodes_.size(), start, end_of(wanted, start), except))
    return *mask;
  return node_mask(nodes_.size() + score_mask_padding, 0xFF);
}

/// Who may be asked to leave for one job, and whether it is fair and enough when some of them do.
class work_queue::eviction_case {
 public:
  eviction_case(work_queue& queue, line_id id, const line_state& line, job_id job, quota_room room)
      : queue_(queue),
        line_(line),
        wanted_(at_least(line.wanted)),
        room_(room),
        after_(queue.teams_after_handovers()),
        promised_(queue.with_promises(id, std::nullopt)) {
    const auto deadline = queue.now_ + queue.options_.grace;
    for (const auto& [other, state] : queue.jobs_) {
      const auto& owner = queue.lines_.at(other.line);
      if (owner.wanted.preemptible == preemption::allowed) queue.may_evict_later_ = true;
      if (queue.left_alone(other, state, job)) continue;
      const auto reason = queue.may_evict(after_, line, owner, state.load);
      if (!reason) continue;
      who_.push_back({other, *reason, owner.team, &state.load, owner.wanted.preemptible});
      // Who ends by itself within the grace loses nothing.
      const bool ends_anyway = state.ends && *state.ends <= deadline;
      candidates_.push_back({state.held, ends_anyway ? 0 : state.spent_at(deadline)});
    }
  }

  [[nodiscard]] bool empty() const noexcept { return who_.empty(); }

  [[nodiscard]] job_id job(std::size_t one) const { return who_[one].job; }

  [[nodiscard]] eviction why(std::size_t one) const { return who_[one].why; }

  [[nodiscard]] std::optional<eviction_plan> find(node_mask allowed) const {
    bar_models_beyond_quota(allowed);
    const eviction_rules rules{[&](const auto& gone) { return fair(gone); },
                               [&](const auto& gone) { return enough(gone); }};
    auto scratch = queue_.nodes_after_handovers();
    auto by = make_policy("bestfit");
    auto found = least_loss(scratch, **by, wanted_, candidates_, {&allowed, {}}, rules);
    if (found && !within_quota_without(found->go, queue_.load_of(found->where)))
      return std::nullopt;
    return found;
  }

 private:
  using some = std::vector<std::size_t>;

  struct candidate {
    job_id job;
    eviction why;
    team_id team;
    const holding* load;
    preemption kind;
  };

  /// No more of what a team has borrowed is wanted back than it has: without any one of those who go it would still be
  /// beyond some quota that they count against.
  [[nodiscard]] bool reclaims(team_id team, const std::vector<const holding*>& loads) const {
    const auto over = after_.borrowed(team, line_.team, queue_.nodes_.models());
    return std::any_of(over.begin(), over.end(), [&](const excess& one) {
      std::int64_t all = 0;
      std::int64_t largest = 0;
      for (const auto* load : loads) {
        const auto held = amount(*load, one.of, one.model);
        all += held;
        largest = std::max(largest, held);
      }
      return all > 0 && all - largest < one.beyond;
    });
  }

  [[nodiscard]] bool fair(const some& gone) const {
    std::map<team_id, std::int64_t> shared;
    std::map<team_id, std::vector<const holding*>> reclaimed;
    for (const auto one : gone) {
      const auto& leaves = who_[one];
      if (leaves.why == eviction::share) shared[leaves.team] += leaves.load->milli;
      if (leaves.why == eviction::quota) reclaimed[leaves.team].push_back(leaves.load);
    }
    return std::all_of(shared.begin(), shared.end(),
                       [&](const auto& one) {
                         return queue_.share_allows(after_, line_.team, one.first, one.second);
                       })
           && std::all_of(reclaimed.begin(), reclaimed.end(),
                          [&](const auto& one) { return reclaims(one.first, one.second); });
  }

  [[nodiscard]] bool enough(const some& gone) const {
    return room_ == quota_room::within
           || within_quota_without(gone, queue_.load_wanted(wanted_, ranks_min(wanted_)));
  }

  [[nodiscard]] bool within_quota_without(const some& gone, const holding& load) const {
    return queue_.room_in(teams_without(gone), line_, load) == quota_room::within;
  }

  [[nodiscard]] team_tree teams_without(const some& gone) const {
    auto teams = promised_;
    for (const auto one : gone)
      teams.give(who_[one].team, *who_[one].load, who_[one].kind);
    return teams;
  }

  /// Leaves out the nodes whose devices it might not hold even if all candidates left.
  void bar_models_beyond_quota(node_mask& allowed) const {
    if (wanted_.each.gpus == 0 || !queue_.teams_.has_model_quotas(line_.team)) return;
    some all(who_.size());
    std::iota(all.begin(), all.end(), 0);
    const auto teams = teams_without(all);
    const auto beyond = [&](std::uint8_t model) {
      const std::int64_t milli = wanted_.each.milli();
      return queue_.room_in(teams, line_, {milli, {{model, milli}}}) != quota_room::within;
    };
    for (node_id node = 0; node < queue_.nodes_.size(); ++node) {
      const auto& kind = queue_.nodes_.kind(node);
      if (!kind.mixed && !kind.model.empty() && beyond(kind.model.front())) allowed[node] = 0;
    }
  }

  work_queue& queue_;
  const line_state& line_;
  demand wanted_;
  quota_room room_;
  team_tree after_;     ///< once all that is being handed over has been
  team_tree promised_;  ///< with what is promised to others
  std::vector<candidate> who_;
  std::vector<evictable> candidates_;
};

bool work_queue::evict_for(line_id id, line_state& line, job_id job, quota_room room) {
  if (room == quota_room::never || room == quota_room::borrows || promise_is_near(job))
    return false;
  const auto key = fmt::format("{} {} {}", line.team, line.wanted.priority, line.shape);
  if (!evictions_tried_.insert(key).second) return false;  // taken back when it helps
  const eviction_case search(*this, id, line, job, room);
  if (search.empty()) return false;
  const bool ahead = promise_ && (promise_->job.line == id || goes_before_promise(line, job));
  const auto except = ahead ? std::optional(promise_->job.line) : std::nullopt;
  auto found = search.find(mask_after_grace(at_least(line.wanted), except));
  if (!found) return false;

  handover one;
  one.job = job;
  one.where = std::move(found->where);
  for (const auto index : found->go) {
    one.leaving.insert(search.job(index));
    jobs_.at(search.job(index)).why = search.why(index);
  }
  hand_over(line, std::move(one));
  evictions_tried_.erase(key);
  return true;
}

// --- moving ----------------------------------------------------------------------------------------------------------

bool work_queue::move_for(line_id id, line_state& line, job_id job) {
  const bool several_devices = line.wanted.gang || line.wanted.each.gpus > 1;
  if (!several_devices || promise_is_near(job)) return false;
  const auto wanted = at_least(line.wanted);
  if (nodes_.left().gpu_milli < static_cast<std::int64_t>(wanted.each.milli()) * ranks_min(wanted))
    return false;
  if (no_moves_.job == job && no_moves_.loosened == loosened_
      && (!no_moves_.until || now_ < *no_moves_.until))
    return false;
  std::vector<job_id> who;
  std::vector<movable> jobs;
  vain_search vain{job, loosened_, {}};
  const auto deadline = now_ + options_.grace;
  for (const auto& [other, state] : jobs_) {
    const auto& demanded = lines_.at(other.line).wanted;
    if (left_alone(other, state, job)) {
      const auto later = state.started + demanded.run_min;
      if (later > now_) vain.until = std::min(vain.until.value_or(later), later);
      continue;
    }
    who.push_back(other);
    jobs.push_back({state.held, &demanded, mask_after_grace(demanded, std::nullopt),
                    state.spent_at(deadline)});
  }
  if (jobs.empty()) return false;
  const auto except = promise_ && promise_->job.line == id ? std::optional(id) : std::nullopt;
  const auto allowed = mask_after_grace(wanted, except);
  auto scratch = nodes_after_handovers();
  auto by = make_policy("bestfit");
  auto found = fewest_moves(scratch, **by, wanted, jobs, {&allowed, {}});
  if (!found) {
    no_moves_ = vain;
    return false;
  }
  auto teams = with_promises(id, std::nullopt);
  const auto take = [&](const line_state& whose, const placement& where) {
    const auto load = load_of(where);
    if (teams.room(whose.team, load, whose.wanted.preemptible, nodes_.models())
        > quota_room::borrows)
      return false;
    teams.take(whose.team, load, whose.wanted.preemptible);
    return true;
  };
  for (const auto& move : found->moves) {  // a new place may be on devices of another model
    const auto& moved = lines_.at(who[move.who].line);
    teams.give(moved.team, jobs_.at(who[move.who]).load, moved.wanted.preemptible);
    if (!take(moved, move.to)) return false;
  }
  if (!take(line, found->where)) return false;
  handover one;
  one.job = job;
  one.where = std::move(found->where);
  for (auto& move : found->moves) {
    jobs_.at(who[move.who]).why = eviction::moved;
    one.moving.push_back({who[move.who], std::move(move.to)});
  }
  hand_over(line, std::move(one));
  return true;
}

/// The nodes once all that is being handed over has been.
inventory work_queue::nodes_after_handovers() const {
  auto nodes = nodes_;
  for (const auto& [job, state] : jobs_)
    if (state.leaving_for) (void)nodes.release(state.held);
  for (const auto& [id, one] : handovers_) {
    (void)nodes.reserve(one.where);
    for (const auto& moved : one.moving)
      (void)nodes.reserve(moved.to);
  }
  return nodes;
}

/// The teams likewise.
team_tree work_queue::teams_after_handovers() const {
  auto teams = teams_;
  for (const auto& [id, one] : handovers_)
    count_handover(teams, one);
  return teams;
}

/// Counts a handover as done: those who leave hold nothing any more, its job and those who move hold their new places.
void work_queue::count_handover(team_tree& teams, const handover& one) const {
  const auto give = [&](job_id job) {
    const auto& line = lines_.at(job.line);
    teams.give(line.team, jobs_.at(job).load, line.wanted.preemptible);
  };
  const auto take = [&](job_id job, const placement& where) {
    const auto& line = lines_.at(job.line);
    teams.take(line.team, load_of(where), line.wanted.preemptible);
  };
  for (const auto job : one.leaving)
    give(job);
  for (const auto& moved : one.moving) {
    give(moved.job);
    take(moved.job, moved.to);
  }
  take(one.job, one.where);
}

// --- handing over ----------------------------------------------------------------------------------------------------

void work_queue::hand_over(line_state& line, handover one) {
  one.id = ++last_number_;
  one.deadline = now_ + options_.grace;
  if (promise_ && promise_->job.line == one.job.line) {
    count_promise(one.deadline);
    drop_promise();
    pass_again_ = true;
  } else if (promise_) {
    const auto clash =
        std::any_of(one.where.ranks.begin(), one.where.ranks.end(), [&](const slot& rank) {
          return !calendar_.admits(rank.node, one.deadline, end_of(line.wanted, one.deadline));
        });
    if (clash) {
      ++counters_.promises_displaced;
      drop_promise();
      pass_again_ = true;
    }
  }
  take_from_waiting(line, one.job.index);
  ++line.handing_over;
  const auto ask = [&](job_id job) {
    auto& state = jobs_.at(job);
    state.leaving_for = one.job;
    state.handover = one.id;
    feuds_.insert(unordered_pair(job, one.job));
    emit({act::leave, job, now_, {}, one.job, state.why, one.deadline, 0});
  };
  for (const auto job : one.leaving)
    ask(job);
  for (const auto& moved : one.moving) {
    ask(moved.job);
    for (const auto& rank : moved.to.ranks)
      calendar_.add({rank.node, now_, one.deadline, bar::reason::handover, one.id});
  }
  for (const auto& rank : one.where.ranks)
    calendar_.add({rank.node, now_, one.deadline, bar::reason::handover, one.id});
  const auto id = one.id;
  handovers_.emplace(id, std::move(one));
  if (options_.grace.count() == 0) complete_handovers();
}

/// Whether everybody has left and the place is free. When all left early, others that the place depends on may still
/// have until their own deadline.
bool work_queue::is_clear(const handover& one) {
  if (!one.leaving.empty() || !one.moving.empty()) return false;
  const auto trial = nodes_.reserve(one.where);
  return trial && nodes_.release(*trial);
}

void work_queue::complete_handovers() {
  std::vector<std::uint64_t> due_now;
  for (const auto& [id, one] : handovers_)
    if (one.deadline <= now_ || is_clear(one)) due_now.push_back(id);
  for (const auto id : due_now) {
    const auto found = handovers_.find(id);
    if (!frees_its_places(found->second)) {
      call_off_handover(id);
      continue;
    }
    auto done = std::move(found->second);
    handovers_.erase(found);
    complete(std::move(done));
  }
}

/// A place may count on those who leave for somebody else. When that handover was called off nobody has to leave for it.
void work_queue::call_off_unsound_handovers() {
  if (!std::exchange(handovers_doubtful_, false)) return;
  while (const auto id = first_unsound_handover()) {
    call_off_handover(*id);
    promise_stale_ = true;
  }
  handovers_doubtful_ = false;
}

/// The first that does not find its places once all who leave have left and those before it have started.
std::optional<std::uint64_t> work_queue::first_unsound_handover() const {
  auto nodes = nodes_;
  for (const auto& [job, state] : jobs_)
    if (state.leaving_for) (void)nodes.release(state.held);
  for (const auto& [id, one] : handovers_)
    if (!reserve_places(nodes, one)) return id;
  return std::nullopt;
}

bool work_queue::reserve_places(inventory& nodes, const handover& one) {
  return nodes.reserve(one.where)
         && std::all_of(one.moving.begin(), one.moving.end(), [&](const relocation& moved) {
              return nodes.reserve(moved.to).has_value();
            });
}

/// Whether everybody finds their place once those who leave have left.
bool work_queue::frees_its_places(const handover& one) const {
  auto nodes = nodes_;
  for (const auto job : one.leaving)
    (void)nodes.release(jobs_.at(job).held);
  for (const auto& moved : one.moving)
    (void)nodes.release(jobs_.at(moved.job).held);
  return reserve_places(nodes, one);
}

void work_queue::complete(handover one) {
  calendar_.remove(bar::reason::handover, one.id);
  pass_again_ = true;
  const auto team = lines_.at(one.job.line).team;
  const auto take_off = [&](job_id job, act what) {
    jobs_.at(job).leaving_for.reset();
    const auto why = jobs_.at(job).why;
    const auto lost = jobs_.at(job).spent_at(now_);
    remove_job(job);
    counters_.lost_time += lost;
    counters_.lost_for[{lines_.at(job.line).team, team}] += lost;
    ++(what == act::moved ? counters_.moved : counters_.evicted);
    return effect{what, job, now_, {}, one.job, why, {}, lost};
  };
  for (const auto job : one.leaving) {
    emit(take_off(job, act::evicted));
    wait_again(job);
  }
  for (const auto& move : one.moving) {
    auto off = take_off(move.job, act::moved);
    off.where = move.to;
    emit(std::move(off));
  }

  auto& line = lines_.at(one.job.line);
  --line.handing_over;
  start(line, one.job, one.where);
  for (const auto& move : one.moving)
    start(lines_.at(move.job.line), move.job, move.to);
}

void work_queue::call_off_handovers_on(node_id node, std::uint64_t devices) {
  std::vector<std::uint64_t> hit;
  for (const auto& [id, one] : handovers_) {
    const auto touches = [&](const placement& where) {
      return std::any_of(where.ranks.begin(), where.ranks.end(), [&](const slot& rank) {
        return rank.node == node && (rank.devices == 0 || (rank.devices & devices) != 0);
      });
    };
    if (touches(one.where)
        || std::any_of(one.moving.begin(), one.moving.end(),
                       [&](const relocation& moved) { return touches(moved.to); }))
      hit.push_back(id);
  }
  for (const auto id : hit)
    call_off_handover(id);
}

/// The place is needed no longer: whoever has not left yet stays.
void work_queue::call_off_handover(std::uint64_t id) {
  const auto found = handovers_.find(id);
  base::ensure(found != handovers_.end(), "a handover that is called off goes on");
  const auto one = std::move(found->second);
  handovers_.erase(found);
  calendar_.remove(bar::reason::handover, id);
  const auto stay = [&](job_id job) {
    jobs_.at(job).leaving_for.reset();
    feuds_.erase(unordered_pair(job, one.job));
    emit({act::stay, job, now_, {}, one.job, {}, {}, 0});
  };
  for (const auto job : one.leaving)
    stay(job);
  for (const auto& moved : one.moving)
    stay(moved.job);
  auto& line = lines_.at(one.job.line);
  --line.handing_over;
  wait_again(one.job);
  handovers_doubtful_ = true;
  ++loosened_;
}

void work_queue::leave_early(job_id job, std::uint64_t handover) {
  const auto found = handovers_.find(handover);
  if (found == handovers_.end()) return;
  found->second.leaving.erase(job);
  std::erase_if(found->second.moving, [&](const relocation& one) { return one.job == job; });
}

}  // namespace berth::sched
