#pragma once
// Queue: who waits, who runs, who has to make room.
//
// The queue is a state machine around one inventory: verbs tell it what happened, `advance(now)` answers what follows
// (start this, tell that to leave). It has no clock of its own and does nothing between two calls, so a simulation, a
// prediction and the service run the same code; a copy (`clone`) answers every "what if" and changes nothing.
//
// The rules, in the order they matter:
// 1. Nothing waits that fits, unless it is held, in the way of a promise or a maintenance window, or barred by a quota.
// 2. Turns: more urgent first (waiting makes urgent, up to the most urgent that waits), then the team that used least
//    for its weight, then who came first.
// 3. The first that does not fit is promised a start: the earliest its nodes are free by the limits of what runs there.
//    The promise is kept; only work that never ran and is more urgent goes before it. Others use the promised nodes
//    only when they surely end before (EASY backfill, Lifka 1995).
// 4. Preemptible work makes room for work within its own quota that is more urgent, that is owed borrowed quota, or
//    whose team holds less than its share: with notice (`grace`), the least device time lost, after its minimum run
//    time, only when the other then starts, and never twice between the same two.
// 5. When neither helps, preemptible work is moved together if a waiting gang then starts.

#include "scheduler/calendar.hpp"
#include "scheduler/inventory.hpp"
#include "scheduler/policy.hpp"
#include "scheduler/team.hpp"
#include "scheduler/work.hpp"

#include <berth/error.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace berth::sched {

enum class backfill : std::uint8_t { off, easy };

struct queue_options {
  std::string policy = std::string(default_policy);
  policy_options policy_with;
  backfill behind = backfill::easy;
  preemption preempting = preemption::allowed;  ///< `never` switches rule 4 off
  preemption moving = preemption::allowed;      ///< `never` switches rule 5 off
  std::chrono::milliseconds half_life{std::chrono::hours(24)};
  std::chrono::milliseconds grace{std::chrono::seconds(30)};
  std::chrono::milliseconds ageing{std::chrono::hours(1)};  ///< waited so long is one priority more
  std::chrono::milliseconds ahead{std::chrono::minutes(1)};  ///< see team_tree::compare_turn
  /// A team that is always there gets its share from what ends; it may evict only when it is behind by this much of
  /// its share. A team that returns may at once. Without it two busy teams would evict each other's work all day.
  std::chrono::milliseconds patience{std::chrono::minutes(1)};
  std::chrono::milliseconds run_assumed{
      std::chrono::hours(24)};  ///< of work without a limit, for estimates
  std::chrono::milliseconds review{
      std::chrono::seconds(10)};  ///< how often shares are looked at when nothing happens
};

/// Nodes out of use for a stretch of time. What runs there goes on; nothing that may still run then starts.
struct maintenance {
  std::vector<node_id> nodes;
  instant from{0};
  instant until{0};
  std::string why;
  friend bool operator==(const maintenance&, const maintenance&) = default;
};

/// A line as it stands.
struct line_view {
  line_id id = 0;
  const demand* wanted = nullptr;  ///< valid until the next verb
  team_id team = 0;
  instant arrived{0};
  std::uint32_t count = 0, waiting = 0, leaving_for = 0, running = 0, done = 0;
  std::int32_t priority = 0;
  hold_state hold = hold_state::free;
};

/// A running job as it stands.
struct job_view {
  job_id id;
  const demand* wanted = nullptr;
  const placement* where = nullptr;
  team_id team = 0;
  instant started{0};
  std::optional<instant> ends;  ///< by its limit
  std::optional<job_id> making_room_for;
};

/// The start promised to the first job that does not fit.
struct promise {
  job_id job;
  instant start{0};
  bool exact = true;  ///< false when it rests on work without a limit: an estimate, not a promise
  placement where;
  friend bool operator==(const promise&, const promise&) = default;
};

/// What happened so far, for reports.
struct queue_counters {
  std::uint64_t started = 0, finished = 0, overran = 0, evicted = 0, moved = 0, lost = 0;
  std::uint64_t promises_kept = 0, promises_late = 0;
  std::uint64_t promises_displaced = 0;  ///< by more urgent work, or by a node that failed
  gpu_time lost_time = 0;
  /// Device time lost by the first team for the second.
  std::map<std::pair<team_id, team_id>, gpu_time> lost_for;
  friend bool operator==(const queue_counters&, const queue_counters&) = default;
};

class work_queue {
 public:
  /// Errors: `missing` for an unknown policy, `invalid` for a duration that is not positive.
  static result<std::unique_ptr<work_queue>> make(inventory nodes, const queue_options& options);

  work_queue& operator=(const work_queue&) = delete;
  ~work_queue() = default;

  /// A copy with all that is known and learned; it answers what this would answer. Cost: O(everything here).
  [[nodiscard]] std::unique_ptr<work_queue> clone() const;

  // --- the cluster ---------------------------------------------------------------------------------------------

  result<node_id> add_node(const node_spec& spec);
  /// Drained and sick nodes keep what runs there; a node that is gone loses it (it waits again, but for independent
  /// replicas on other nodes, which run on).
  void set_condition(instant now, node_id node, node_condition condition);
  void set_healthy(node_id node, std::uint32_t device, bool healthy);
  /// Announces a window and returns its number. Errors: `invalid` for a node that does not exist or an empty stretch.
  result<std::uint64_t> announce(const maintenance& window);
  result<void> call_off(std::uint64_t window);
  result<team_id> set_team(const team_spec& spec);

  // --- work ----------------------------------------------------------------------------------------------------

  /// Takes a line in. A team that does not exist is made, with weight 1 and no quota.
  /// Errors: `invalid`/"bad_demand", "never_fits" (no state of this cluster could hold it, drained nodes included) or
  /// "over_quota" (more than quota and borrowing admit). Explanations in words: scheduler/explain.hpp.
  result<line_id> submit(instant now, const submission& work);
  /// Errors of these: `missing`/"no_such_line" for a line that is not there (any more).
  result<void> cancel(instant now, line_id line);
  result<void> hold(line_id line);
  result<void> release(line_id line);
  result<void> reprioritise(line_id line, std::int32_t priority);
  /// A job ended by itself. Errors: `missing`/"no_such_job" when it does not run.
  result<void> finished(instant now, job_id job);

  /// Brings everything up to `now` and decides. Effects come in the order they happened.
  std::vector<effect> advance(instant now);

  /// When `advance` is worth calling next even if nothing happens.
  [[nodiscard]] std::optional<instant> wake() const;

  // --- looks ---------------------------------------------------------------------------------------------------

  [[nodiscard]] instant now() const noexcept { return now_; }

  [[nodiscard]] const inventory& nodes() const noexcept { return nodes_; }

  /// A copy of the nodes as if nothing ran, nothing were set aside and every device were well.
  [[nodiscard]] inventory idle_nodes() const;

  [[nodiscard]] const team_tree& teams() const noexcept { return teams_; }

  [[nodiscard]] const calendar& bars() const noexcept { return calendar_; }

  [[nodiscard]] const queue_options& options() const noexcept { return options_; }

  [[nodiscard]] const queue_counters& counters() const noexcept { return counters_; }

  [[nodiscard]] const std::optional<promise>& promised() const noexcept { return promise_; }

  [[nodiscard]] const std::map<std::uint64_t, maintenance>& windows() const noexcept {
    return windows_;
  }

  [[nodiscard]] std::vector<line_view> lines() const;
  [[nodiscard]] std::optional<line_view> line(line_id id) const;
  [[nodiscard]] std::vector<job_view> jobs() const;
  [[nodiscard]] std::optional<job_view> job(job_id id) const;

  /// What `ranks` ranks are going to hold. Where one model only is admitted, it is known beforehand.
  [[nodiscard]] holding load_wanted(const demand& wanted, std::uint32_t ranks) const;

  /// Where one more job of the line would stand with its team's quotas, promises to others counted.
  [[nodiscard]] quota_room quota_for(line_id line) const;
  /// The same for any load of its team.
  [[nodiscard]] quota_room quota_for(line_id line, const holding& load) const;

 private:
  struct line_state {
    demand wanted;
    team_id team = 0;
    instant arrived{0};
    std::uint32_t count = 0;
    std::uint32_t next = 0;         ///< jobs from here on never ran
    std::set<std::uint32_t> again;  ///< jobs that ran and wait again
    std::uint32_t running = 0;
    std::uint32_t handing_over = 0;  ///< jobs for which others are leaving
    std::uint32_t done = 0;
    hold_state hold = hold_state::free;
    std::string shape;  ///< equal for demands that plan alike

    [[nodiscard]] std::uint32_t waiting() const noexcept {
      return count - next + static_cast<std::uint32_t>(again.size());
    }
  };

  struct job_state {
    claim held;
    placement where;
    holding load;
    instant started{0};
    std::optional<instant> ends;
    std::optional<job_id> leaving_for;
    std::uint64_t handover = 0;  ///< the one it leaves for
    eviction why = eviction::priority;
    gpu_time spent = 0;  ///< device time until `counted`, when its load last changed
    instant counted{0};

    [[nodiscard]] gpu_time spent_at(instant when) const noexcept {
      return spent + load.milli * (when - counted).count();
    }
  };

  struct relocation {
    job_id job;
    placement to;
  };

  /// A job whose place is being cleared for it.
  struct handover {
    std::uint64_t id = 0;
    job_id job;
    placement where;
    std::set<job_id> leaving;
    std::vector<relocation> moving;
    instant deadline{0};
  };

  /// The last search for moves that found none. It would find none again until room appears or somebody who had not
  /// run long enough may be moved.
  struct vain_search {
    job_id job;
    std::uint64_t loosened = 0;
    std::optional<instant> until;
  };

  enum class tried : std::uint8_t { started, handing_over, blocked, barred_by_quota };

  work_queue(inventory nodes, const queue_options& options, std::unique_ptr<policy> by);
  work_queue(const work_queue& other);

  // queue.cpp: the life of a job
  [[nodiscard]] bool fits_idle_within_quota(const line_state& line) const;
  line_state* find_line(line_id id);
  [[nodiscard]] job_id next_job(line_id id, const line_state& line) const;
  void take_from_waiting(line_state& line, std::uint32_t index);
  void start(line_state& line, job_id job, const placement& where);
  job_state remove_job(job_id job);
  void wait_again(job_id job);
  void forget_if_done(line_id id);
  void lose_jobs_on(node_id node);
  bool reduce(job_id job, job_state& state, node_id node);
  void hold_as(job_id job, job_state& state, holding load);
  [[nodiscard]] std::optional<instant> end_of(const demand& wanted, instant start) const;
  [[nodiscard]] holding load_of(const placement& where) const;
  void emit(effect one);
  void end_overdue();

  // queue_pass.cpp: turns, starts, backfill, growth
  class turns;
  void pass();
  enum class turn : std::uint8_t { first_blocked, later };
  tried try_line(line_id id, line_state& line, turn at);
  bool start_if_room(line_id id, line_state& line, job_id job);
  bool start_as_promised(line_state& line, job_id job);
  std::optional<placement> plan_now(line_id id, const line_state& line, const node_mask* allowed);
  std::optional<placement> plan_within_quota(const team_tree& teams,
                                             inventory& nodes,
                                             policy& by,
                                             const line_state& line,
                                             const node_mask* allowed) const;
  [[nodiscard]] std::uint32_t ranks_within_quota(const team_tree& teams,
                                                 const line_state& line) const;
  [[nodiscard]] quota_room room_in(const team_tree& teams,
                                   const line_state& line,
                                   const holding& load) const;
  [[nodiscard]] team_tree with_promises(line_id except, std::optional<instant> end) const;
  [[nodiscard]] bool promises_bind(line_id id, const line_state& line) const;
  [[nodiscard]] quota_room room_now(line_id id, const line_state& line, const holding& load) const;
  [[nodiscard]] holding least_load(const line_state& line) const;
  void grow_gangs();
  void grow(job_id job, job_state& state);
  result<placement> plan_more(const demand& wanted,
                              const placement& held,
                              std::uint32_t more,
                              const plan_options& options);
  [[nodiscard]] bool goes_before_promise(const line_state& line, job_id job) const;
  [[nodiscard]] std::int64_t urgency(const line_state& line) const;

  // queue_promise.cpp: promised starts
  void promise_start(const line_state& line, job_id job);
  [[nodiscard]] std::optional<promise> earliest_start(const line_state& line, job_id job) const;
  void drop_promise();
  void count_promise(instant when);

  // queue_room.cpp: making room
  class eviction_case;
  bool evict_for(line_id id, line_state& line, job_id job, quota_room room);
  bool move_for(line_id id, line_state& line, job_id job);
  [[nodiscard]] bool left_alone(job_id job, const job_state& state, job_id by) const;
  [[nodiscard]] bool stands_on_failed(const placement& where) const;
  [[nodiscard]] std::optional<eviction> may_evict(const team_tree& teams,
                                                  const line_state& by,
                                                  const line_state& other,
                                                  const holding& held) const;
  [[nodiscard]] bool share_allows(const team_tree& teams,
                                  team_id by,
                                  team_id other,
                                  std::int64_t gone) const;
  [[nodiscard]] bool promise_is_near(job_id job) const;
  [[nodiscard]] node_mask mask_after_grace(const demand& wanted,
                                           std::optional<line_id> except) const;
  void hand_over(line_state& line, handover one);
  [[nodiscard]] inventory nodes_after_handovers() const;
  [[nodiscard]] team_tree teams_after_handovers() const;
  void count_handover(team_tree& teams, const handover& one) const;
  [[nodiscard]] bool is_clear(const handover& one);
  void complete_handovers();
  [[nodiscard]] bool frees_its_places(const handover& one) const;
  static bool reserve_places(inventory& nodes, const handover& one);
  void call_off_unsound_handovers();
  [[nodiscard]] std::optional<std::uint64_t> first_unsound_handover() const;
  void complete(handover one);
  void call_off_handover(std::uint64_t id);
  void call_off_handovers_on(node_id node, std::uint64_t devices);
  void leave_early(job_id job, std::uint64_t handover);
  void note_returning_teams();
  [[nodiscard]] std::int64_t due(team_id team) const;

  /// The policy belongs to one inventory, so a copy of the queue gets its own (`clone`), not a copy of the pointer.
  struct own_policy {
    std::unique_ptr<policy> it;

    explicit own_policy(std::unique_ptr<policy> made) : it(std::move(made)) {}

    own_policy(const own_policy&) {}

    own_policy& operator=(const own_policy&) = delete;
    ~own_policy() = default;
  };

  queue_options options_;
  inventory nodes_;
  own_policy policy_;
  team_tree teams_;
  calendar calendar_;
  std::map<std::uint64_t, maintenance> windows_;

  instant now_{0};
  line_id last_line_ = 0;
  std::uint64_t last_number_ = 0;  ///< of windows and handovers
  std::map<line_id, line_state> lines_;
  std::map<job_id, job_state> jobs_;
  std::set<std::pair<instant, job_id>> ends_;
  std::map<std::uint64_t, handover> handovers_;
  std::set<std::pair<job_id, job_id>> feuds_;  ///< pairs of which one has evicted the other
  std::optional<promise> promise_;
  bool promise_stale_ = false;       ///< a node it names has failed
  bool handovers_doubtful_ = false;  ///< one was called off that others may have counted on
  std::set<team_id> returning_;
  std::set<team_id> busy_;                 ///< teams with work, and all above them
  std::int64_t gpu_milli_total_ = 0;       ///< of ready nodes, as of the last advance
  std::set<std::string> evictions_tried_;  ///< in this pass

  std::uint64_t loosened_ = 1;  ///< grows when room may have appeared
  std::uint64_t blocked_at_ = 0;
  std::map<std::string, std::optional<instant>>
      blocked_;  ///< shape → shortest run that found no room
  std::uint64_t promise_at_ = 0;
  std::uint64_t grown_at_ = 0;
  vain_search no_moves_;
  bool may_evict_later_ = false;
  bool pass_again_ = false;  ///< room appeared for somebody who was tried before
  queue_counters counters_;
  std::vector<effect> effects_;
};

}  // namespace berth::sched
