#include "scheduler/queue.hpp"

#include "runtime/base/ensure.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>

namespace berth::sched {
namespace {

error_info no_such_line(line_id id) {
  return fail(kind::missing, "no_such_line",
              fmt::format("no line {} waits or runs; it may have ended", id));
}

template <class Words>
void append_words(std::string& text, const Words& words) {
  for (const auto& word : words)
    fmt::format_to(std::back_inserter(text), " {}:{}", word.size(), word);
}

/// Equal for demands that are planned alike, whoever wants them.
std::string shape_of(const demand& wanted) {
  std::string text;
  const auto out = std::back_inserter(text);
  const auto& each = wanted.each;
  fmt::format_to(out, "{} {} {}x{} {} r{} m", each.cpu_milli, each.memory_mib, each.gpus,
                 each.gpu_milli, each.device_memory_mib, wanted.replicas);
  append_words(text, wanted.models);
  for (const auto& wish : wanted.labels) {
    fmt::format_to(out, " l{}{} {}:{}", static_cast<int>(wish.how), static_cast<int>(wish.force),
                   wish.key.size(), wish.key);
    append_words(text, wish.values);
  }
  if (wanted.gang) fmt::format_to(out, " g{}-{}", wanted.gang->ranks_min, wanted.gang->ranks_max);
  if (wanted.affinity)
    fmt::format_to(out, " a{}{}", static_cast<int>(wanted.affinity->within),
                   static_cast<int>(wanted.affinity->force));
  if (wanted.spread)
    fmt::format_to(out, " s{} {} {}:{}", wanted.spread->per_domain_max,
                   static_cast<int>(wanted.spread->force), wanted.spread->domain.size(),
                   wanted.spread->domain);
  fmt::format_to(out, " h");
  append_words(text, wanted.artifacts);
  return text;
}

}  // namespace

result<std::unique_ptr<work_queue>> work_queue::make(inventory nodes,
                                                     const queue_options& options) {
  for (const auto duration : {options.half_life, options.ageing, options.review})
    if (duration.count() <= 0)
      return fail(kind::invalid, "bad_options",
                  "half-life, ageing and review of a queue must be longer than nothing");
  if (options.grace.count() < 0)
    return fail(kind::invalid, "bad_options", "the grace before an eviction must not be negative");
  auto by = make_policy(options.policy, options.policy_with);
  if (!by) return std::move(by).error();
  return std::unique_ptr<work_queue>(new work_queue(std::move(nodes), options, std::move(*by)));
}

work_queue::work_queue(inventory nodes, const queue_options& options, std::unique_ptr<policy> by)
    : options_(options),
      nodes_(std::move(nodes)),
      policy_(std::move(by)),
      teams_(options.half_life) {}

work_queue::work_queue(const work_queue& other) = default;

std::unique_ptr<work_queue> work_queue::clone() const {
  auto copy = std::unique_ptr<work_queue>(new work_queue(*this));
  copy->policy_.it = policy_.it->clone_for(copy->nodes_);
  return copy;
}

// --- the cluster -----------------------------------------------------------------------------------------------------

result<node_id> work_queue::add_node(const node_spec& spec) {
  ++loosened_;
  return nodes_.add(spec);
}

void work_queue::set_condition(instant now, node_id node, node_condition condition) {
  now_ = std::max(now_, now);
  teams_.advance(now_);
  nodes_.set_condition(node, condition);
  ++loosened_;
  promise_stale_ = true;
  if (condition == node_condition::gone) lose_jobs_on(node);
  if (condition != node_condition::ready) call_off_handovers_on(node, ~0ULL);
}

void work_queue::set_healthy(node_id node, std::uint32_t device, bool healthy) {
  nodes_.set_healthy(node, device, healthy);
  if (!healthy) call_off_handovers_on(node, 1ULL << device);
  ++loosened_;
  promise_stale_ = true;
}

result<std::uint64_t> work_queue::announce(const maintenance& window) {
  if (window.until <= window.from)
    return fail(kind::invalid, "bad_window", "a maintenance window must end after it begins");
  for (const auto node : window.nodes)
    if (node >= nodes_.size())
      return fail(kind::invalid, "bad_window", fmt::format("there is no node {}", node));
  const auto number = ++last_number_;
  windows_.emplace(number, window);
  for (const auto node : window.nodes)
    calendar_.add({node, window.from, window.until, bar::reason::window, number});
  promise_stale_ = true;
  return number;
}

result<void> work_queue::call_off(std::uint64_t window) {
  if (windows_.erase(window) == 0)
    return fail(kind::missing, "no_such_window",
                fmt::format("no maintenance window {} is announced", window));
  calendar_.remove(bar::reason::window, window);
  ++loosened_;
  return {};
}

result<team_id> work_queue::set_team(const team_spec& spec) {
  ++loosened_;
  return teams_.set(spec);
}

// --- work ------------------------------------------------------------------------------------------------------------

result<line_id> work_queue::submit(instant now, const submission& work) {
  if (auto checked = check(work.wanted); !checked) return std::move(checked).error();
  if (work.count == 0)
    return fail(kind::invalid, "bad_demand",
                fmt::format("\"{}\": an array of no jobs", work.wanted.name));
  if (!fits_idle(nodes_, *policy_.it, work.wanted))
    return fail(kind::invalid, "never_fits",
                fmt::format("\"{}\" fits no state of this cluster, even empty and with its drained "
                            "nodes back; ask for less per replica, or other devices or labels",
                            work.wanted.name));
  now_ = std::max(now_, now);
  teams_.advance(now_);
  line_state line;
  line.wanted = work.wanted;
  line.team = teams_.find_or_add(work.wanted.team);
  line.arrived = now_;
  line.count = work.count;
  line.hold = work.hold;
  line.shape = shape_of(work.wanted);
  if (teams_.room(line.team, load_wanted(line.wanted, ranks_min(line.wanted)),
                  line.wanted.preemptible, nodes_.models())
      == quota_room::never)
    return fail(kind::invalid, "over_quota",
                fmt::format("\"{}\" asks for more than the quota of team '{}' and what it may "
                            "borrow; ask for less, or have the quota raised",
                            work.wanted.name, work.wanted.team));
  if (!fits_idle_within_quota(line))
    return fail(kind::invalid, "over_quota",
                fmt::format("\"{}\" would fit only on devices of models of which team '{}' may not "
                            "hold so many; admit other models, or have the quota raised",
                            work.wanted.name, work.wanted.team));
  for (std::uint32_t i = 0; i < work.count; ++i)
    policy_.it->arrived(nodes_, work.wanted);
  const auto id = ++last_line_;
  lines_.emplace(id, std::move(line));
  return id;
}

/// Whether it fits when nothing else runs and its team holds nothing. Only quotas on models make this differ from what
/// was asked before.
bool work_queue::fits_idle_within_quota(const line_state& line) const {
  if (!teams_.has_model_quotas(line.team)) return true;
  auto idle = idle_nodes();
  auto teams = teams_;
  teams.forget_held();
  auto by = make_policy("bestfit");
  return plan_within_quota(teams, idle, **by, line, nullptr).has_value();
}

result<void> work_queue::cancel(instant now, line_id id) {
  auto* const line = find_line(id);
  if (line == nullptr) return no_such_line(id);
  now_ = std::max(now_, now);
  teams_.advance(now_);
  for (auto it = handovers_.begin(); it != handovers_.end();) {
    const auto& one = (it++)->second;
    if (one.job.line == id) call_off_handover(one.id);
  }
  for (auto it = jobs_.lower_bound({id, 0}); it != jobs_.end() && it->first.line == id;) {
    const auto job = (it++)->first;
    remove_job(job);
    emit({act::cancelled, job, now_, {}, {}, {}, {}, 0});
  }
  if (promise_ && promise_->job.line == id) drop_promise();
  std::erase_if(feuds_,
                [&](const auto& pair) { return pair.first.line == id || pair.second.line == id; });
  lines_.erase(id);
  ++loosened_;
  return {};
}

result<void> work_queue::hold(line_id id) {
  auto* const line = find_line(id);
  if (line == nullptr) return no_such_line(id);
  line->hold = hold_state::held;
  if (promise_ && promise_->job.line == id) drop_promise();
  return {};
}

result<void> work_queue::release(line_id id) {
  auto* const line = find_line(id);
  if (line == nullptr) return no_such_line(id);
  line->hold = hold_state::free;
  return {};
}

result<void> work_queue::reprioritise(line_id id, std::int32_t priority) {
  auto* const line = find_line(id);
  if (line == nullptr) return no_such_line(id);
  line->wanted.priority = priority;
  return {};
}

result<void> work_queue::finished(instant now, job_id job) {
  if (!jobs_.contains(job))
    return fail(kind::missing, "no_such_job",
                fmt::format("job {} of line {} does not run", job.index, job.line));
  now_ = std::max(now_, now);
  teams_.advance(now_);
  remove_job(job);
  ++lines_.at(job.line).done;
  ++counters_.finished;
  forget_if_done(job.line);
  return {};
}

std::vector<effect> work_queue::advance(instant now) {
  now_ = std::max(now_, now);
  teams_.advance(now_);
  gpu_milli_total_ = nodes_.total().gpu_milli;
  end_overdue();
  call_off_unsound_handovers();
  complete_handovers();
  note_returning_teams();
  do {
    pass_again_ = false;
    pass();
  } while (pass_again_);
  grow_gangs();
  return std::exchange(effects_, {});
}

std::optional<instant> work_queue::wake() const {
  std::optional<instant> first;
  const auto consider = [&](instant when) {
    if (when > now_ && (!first || when < *first)) first = when;
  };
  if (!ends_.empty()) consider(ends_.begin()->first);
  for (const auto& [id, one] : handovers_)
    consider(one.deadline);
  for (const auto& [number, window] : windows_)
    consider(window.until);
  if (promise_) consider(promise_->start);
  if (may_evict_later_) consider(now_ + options_.review);
  return first;
}

// --- the life of a job -----------------------------------------------------------------------------------------------

work_queue::line_state* work_queue::find_line(line_id id) {
  const auto found = lines_.find(id);
  return found == lines_.end() ? nullptr : &found->second;
}

job_id work_queue::next_job(line_id id, const line_state& line) const {
  return {id, line.again.empty() ? line.next : *line.again.begin()};
}

void work_queue::take_from_waiting(line_state& line, std::uint32_t index) {
  if (line.again.erase(index) == 0) {
    base::ensure(index == line.next && line.next < line.count, "a job of a line starts in turn");
    ++line.next;
  }
}

std::optional<instant> work_queue::end_of(const demand& wanted, instant start) const {
  return wanted.limit ? std::optional(start + *wanted.limit) : std::nullopt;
}

holding work_queue::load_of(const placement& where) const {
  const auto ranks = static_cast<std::int64_t>(where.ranks.size());
  holding load;
  load.cpu_milli = ranks * where.each.cpu_milli;
  load.memory_mib = ranks * where.each.memory_mib;
  std::map<std::uint8_t, std::int64_t> by_model;
  for (const auto& rank : where.ranks) {
    const auto& kind = nodes_.kind(rank.node);
    for (std::size_t device = 0; device < kind.model.size(); ++device)
      if ((rank.devices >> device & 1U) != 0) by_model[kind.model[device]] += where.each.gpu_milli;
  }
  for (const auto& [model, milli] : by_model) {
    load.milli += milli;
    load.by_model.emplace_back(model, milli);
  }
  return load;
}

holding work_queue::load_wanted(const demand& wanted, std::uint32_t ranks) const {
  holding load;
  load.milli = static_cast<std::int64_t>(wanted.each.milli()) * ranks;
  load.cpu_milli = static_cast<std::int64_t>(wanted.each.cpu_milli) * ranks;
  load.memory_mib = static_cast<std::int64_t>(wanted.each.memory_mib) * ranks;
  const auto& models = nodes_.models();
  if (wanted.models.size() == 1)
    if (const auto found = std::find(models.begin(), models.end(), wanted.models[0]);
        found != models.end())
      load.by_model.emplace_back(static_cast<std::uint8_t>(found - models.begin()), load.milli);
  return load;
}

void work_queue::start(line_state& line, job_id job, const placement& where) {
  auto held = nodes_.reserve(where);
  base::ensure(held.has_value(), "what was planned on this inventory can be reserved");
  if (promise_ && promise_->job == job) {
    count_promise(now_);
    drop_promise();
    pass_again_ = true;
  }
  job_state state;
  state.held = *held;
  state.where = where;
  state.load = load_of(where);
  state.started = now_;
  state.counted = now_;
  state.ends = end_of(line.wanted, now_);
  if (state.ends) ends_.emplace(*state.ends, job);
  teams_.take(line.team, state.load, line.wanted.preemptible);
  ++line.running;
  ++counters_.started;
  jobs_.emplace(job, std::move(state));
  emit({act::started, job, now_, where, {}, {}, {}, 0});
}

work_queue::job_state work_queue::remove_job(job_id job) {
  const auto found = jobs_.find(job);
  base::ensure(found != jobs_.end(), "a job that is removed runs");
  auto state = std::move(found->second);
  jobs_.erase(found);
  auto& line = lines_.at(job.line);
  base::ensure(nodes_.release(state.held).has_value(), "a running job's claim is current");
  if (state.ends) ends_.erase({*state.ends, job});
  teams_.give(line.team, state.load, line.wanted.preemptible);
  --line.running;
  if (state.leaving_for) leave_early(job, state.handover);
  ++loosened_;
  return state;
}

void work_queue::wait_again(job_id job) {
  lines_.at(job.line).again.insert(job.index);
}

void work_queue::forget_if_done(line_id id) {
  const auto& line = lines_.at(id);
  if (line.done < line.count) return;
  std::erase_if(feuds_,
                [&](const auto& pair) { return pair.first.line == id || pair.second.line == id; });
  lines_.erase(id);
}

void work_queue::lose_jobs_on(node_id node) {
  std::vector<job_id> there;
  for (const auto& [job, state] : jobs_)
    if (std::any_of(state.where.ranks.begin(), state.where.ranks.end(),
                    [&](const slot& rank) { return rank.node == node; }))
      there.push_back(job);
  for (const auto job : there) {
    if (!lines_.at(job.line).wanted.gang && reduce(job, jobs_.at(job), node)) continue;
    const auto state = remove_job(job);
    wait_again(job);
    ++counters_.lost;
    emit({act::lost, job, now_, {}, {}, {}, {}, state.spent_at(now_)});
  }
}

/// Independent replicas on other nodes run on, and grow again when there is room. Answers false when there are none.
bool work_queue::reduce(job_id job, job_state& state, node_id node) {
  auto kept = nodes_.drop(state.held, node);
  if (!kept) return false;
  auto gone = state.where;
  std::erase_if(gone.ranks, [&](const slot& rank) { return rank.node != node; });
  std::erase_if(state.where.ranks, [&](const slot& rank) { return rank.node == node; });
  measure(nodes_, state.where);
  state.held = *kept;
  hold_as(job, state, load_of(state.where));
  ++loosened_;
  emit({act::reduced, job, now_, std::move(gone), {}, {}, {}, 0});
  return true;
}

/// The job holds another load from now on.
void work_queue::hold_as(job_id job, job_state& state, holding load) {
  const auto& line = lines_.at(job.line);
  teams_.give(line.team, state.load, line.wanted.preemptible);
  teams_.take(line.team, load, line.wanted.preemptible);
  state.spent = state.spent_at(now_);
  state.counted = now_;
  state.load = std::move(load);
}

void work_queue::end_overdue() {
  while (!ends_.empty() && ends_.begin()->first <= now_) {
    const auto job = ends_.begin()->second;
    const auto state = remove_job(job);
    ++lines_.at(job.line).done;
    ++counters_.overran;
    emit({act::overran, job, now_, {}, {}, {}, state.ends, 0});
    forget_if_done(job.line);
  }
  for (auto it = windows_.begin(); it != windows_.end();) {
    const auto& [number, window] = *it++;
    if (window.until <= now_) (void)call_off(number);
  }
}

void work_queue::emit(effect one) {
  effects_.push_back(std::move(one));
}

// --- looks -----------------------------------------------------------------------------------------------------------

inventory work_queue::idle_nodes() const {
  auto idle = nodes_;
  for (const auto& [job, state] : jobs_)
    (void)idle.release(state.held);
  for (node_id node = 0; node < idle.size(); ++node) {
    if (idle.condition(node) != node_condition::gone)
      idle.set_condition(node, node_condition::ready);
    for (std::uint32_t device = 0; device < idle.row(node).devices; ++device)
      idle.set_healthy(node, device, true);
  }
  return idle;
}

std::vector<line_view> work_queue::lines() const {
  std::vector<line_view> views;
  for (const auto& [id, ignored] : lines_)
    views.push_back(*line(id));
  return views;
}

std::optional<line_view> work_queue::line(line_id id) const {
  const auto found = lines_.find(id);
  if (found == lines_.end()) return std::nullopt;
  const auto& one = found->second;
  return line_view{id,        &one.wanted,         one.team,         one.arrived,
                   one.count, one.waiting(),       one.handing_over, one.running,
                   one.done,  one.wanted.priority, one.hold};
}

std::vector<job_view> work_queue::jobs() const {
  std::vector<job_view> views;
  for (const auto& [id, ignored] : jobs_)
    views.push_back(*job(id));
  return views;
}

std::optional<job_view> work_queue::job(job_id id) const {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return std::nullopt;
  const auto& one = found->second;
  const auto& line = lines_.at(id.line);
  return job_view{id, &line.wanted, &one.where, line.team, one.started, one.ends, one.leaving_for};
}

quota_room work_queue::quota_for(line_id id) const {
  const auto found = lines_.find(id);
  base::ensure(found != lines_.end(), "a quota is asked for a line that exists");
  return room_now(id, found->second, least_load(found->second));
}

quota_room work_queue::quota_for(line_id id, const holding& load) const {
  const auto found = lines_.find(id);
  base::ensure(found != lines_.end(), "a quota is asked for a line that exists");
  return room_now(id, found->second, load);
}

}  // namespace berth::sched
