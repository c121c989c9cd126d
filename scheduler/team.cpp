#include "scheduler/team.hpp"

#include "scheduler/decay.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace berth::sched {
namespace {

__extension__ using wide = __int128;

/// Compares a / wa with b / wb.
int compare_per_weight(wide a, std::uint32_t wa, wide b, std::uint32_t wb) {
  const wide left = a * static_cast<wide>(wb);
  const wide right = b * static_cast<wide>(wa);
  return left < right ? -1 : left > right ? 1 : 0;
}

error_info bad(const team_spec& spec, const std::string& what) {
  return fail(kind::invalid, "bad_team", fmt::format("team '{}': {}", spec.name, what));
}

std::int64_t of_model(const holding& load, std::uint8_t model) {
  for (const auto& [id, milli] : load.by_model)
    if (id == model) return milli;
  return 0;
}

}  // namespace

std::int64_t amount(const holding& load, quota_sort of, std::uint8_t model) noexcept {
  switch (of) {
    case quota_sort::gpus:
      return load.milli;
    case quota_sort::model:
      return of_model(load, model);
    case quota_sort::cpu:
      return load.cpu_milli;
    case quota_sort::memory:
      return load.memory_mib;
  }
  return 0;
}

result<team_id> team_tree::set(const team_spec& spec) {
  if (spec.name.empty()) return bad(spec, "a team needs a name");
  if (spec.weight == 0 || spec.weight > team_weight_max)
    return bad(spec, fmt::format("the weight is {}; it lies between 1 and {}", spec.weight,
                                 team_weight_max));
  for (const auto quantity :
       {spec.quota_milli.value_or(0), spec.borrow_milli, spec.cpu_quota_milli.value_or(0),
        spec.cpu_borrow_milli, spec.memory_quota_mib.value_or(0), spec.memory_borrow_mib})
    if (quantity < 0) return bad(spec, "quota and borrowing must not be negative");
  for (const auto& [model, quota] : spec.model_quotas)
    if (quota < 0) return bad(spec, fmt::format("the quota of {} is negative", model));
  team_id parent = none;
  if (!spec.parent.empty()) {
    const auto found = find(spec.parent);
    if (!found) return bad(spec, fmt::format("its parent '{}' does not exist", spec.parent));
    parent = *found;
  }
  const auto known = find(spec.name);
  if (!known) {
    const auto id = static_cast<team_id>(teams_.size());
    by_name_.emplace(spec.name, id);
    team made;
    made.spec = spec;
    made.parent = parent;
    made.depth = parent == none ? 0 : teams_[parent].depth + 1;
    teams_.push_back(std::move(made));
    return id;
  }
  auto& old = teams_[*known];
  if (old.parent != parent)
    return bad(spec, fmt::format("it belongs to '{}' and cannot move", old.spec.parent));
  old.spec = spec;
  return *known;
}

std::optional<team_id> team_tree::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? std::nullopt : std::optional(found->second);
}

team_id team_tree::find_or_add(const std::string& name) {
  if (const auto known = find(name)) return *known;
  team_spec spec;
  spec.name = name;
  const auto id = static_cast<team_id>(teams_.size());
  by_name_.emplace(name, id);
  teams_.emplace_back();
  teams_.back().spec = std::move(spec);
  return id;
}

void team_tree::advance(instant now) {
  if (now <= now_) return;
  const decay step(now - now_, half_life_);
  const auto dt = (now - now_).count();
  for (auto& one : teams_) {
    one.use = step.apply(one.use, one.gpu.held);
    one.own_use = step.apply(one.own_use, one.own);
    one.consumed += one.gpu.held * dt;
  }
  now_ = now;
}

void team_tree::count(team_id team, const holding& load, preemption kind, std::int64_t sign) {
  teams_[team].own += sign * load.milli;
  each_above(team, [&](team_id id) {
    auto& one = teams_[id];
    one.gpu.count(sign * load.milli, kind);
    one.cpu.count(sign * load.cpu_milli, kind);
    one.memory.count(sign * load.memory_mib, kind);
    for (const auto& [model, milli] : load.by_model) {
      if (one.by_model.size() <= model) one.by_model.resize(model + 1U);
      one.by_model[model].count(sign * milli, kind);
    }
  });
}

void team_tree::take(team_id team, const holding& load, preemption kind) {
  count(team, load, kind, 1);
}

void team_tree::give(team_id team, const holding& load, preemption kind) {
  count(team, load, kind, -1);
}

void team_tree::hold_most_of(const team_tree& other) {
  for (team_id id = 0; id < teams_.size(); ++id) {
    auto& one = teams_[id];
    const auto& theirs = other.teams_[id];
    one.gpu.raise_to(theirs.gpu);
    one.cpu.raise_to(theirs.cpu);
    one.memory.raise_to(theirs.memory);
    if (one.by_model.size() < theirs.by_model.size()) one.by_model.resize(theirs.by_model.size());
    for (std::size_t model = 0; model < theirs.by_model.size(); ++model)
      one.by_model[model].raise_to(theirs.by_model[model]);
    one.own = std::max(one.own, theirs.own);
  }
}

void team_tree::forget_held() {
  for (auto& one : teams_) {
    one.gpu = one.cpu = one.memory = {};
    one.by_model.clear();
    one.own = 0;
  }
}

template <class Visit>
void team_tree::each_quota(team_id team,
                           const std::vector<std::string>& models,
                           Visit&& visit) const {
  const auto& one = teams_[team];
  const auto& spec = one.spec;
  if (spec.quota_milli)
    visit(quota_view{quota_sort::gpus, {}, 0, *spec.quota_milli, spec.borrow_milli, one.gpu});
  for (const auto& [name, quota] : spec.model_quotas) {
    const auto found = std::find(models.begin(), models.end(), name);
    if (found == models.end()) continue;
    const auto model = static_cast<std::uint8_t>(found - models.begin());
    visit(quota_view{quota_sort::model, name, model, quota, spec.borrow_milli,
                     model < one.by_model.size() ? one.by_model[model] : tally{}});
  }
  if (spec.cpu_quota_milli)
    visit(
        quota_view{quota_sort::cpu, {}, 0, *spec.cpu_quota_milli, spec.cpu_borrow_milli, one.cpu});
  if (spec.memory_quota_mib)
    visit(quota_view{
        quota_sort::memory, {}, 0, *spec.memory_quota_mib, spec.memory_borrow_mib, one.memory});
}

quota_room team_tree::room(team_id team,
                           const holding& load,
                           preemption kind,
                           const std::vector<std::string>& models) const {
  auto worst = quota_room::within;
  const auto judge = [&](const quota_view& q) {
    const auto wanted = amount(load, q.of, q.model);
    if (wanted == 0) return;
    const auto borrow = kind == preemption::allowed ? q.borrow : 0;
    auto here = quota_room::full;
    if (wanted > q.quota + borrow)
      here = quota_room::never;
    else if (wanted <= q.left(kind))
      here = kind == preemption::never || q.now.held + wanted <= q.quota ? quota_room::within
                                                                         : quota_room::borrows;
    worst = std::max(worst, here);
  };
  each_above(team, [&](team_id id) { each_quota(id, models, judge); });
  return worst;
}

std::vector<model_cap> team_tree::model_caps(team_id team,
                                             preemption kind,
                                             const std::vector<std::string>& models) const {
  std::vector<model_cap> caps;
  each_above(team, [&](team_id id) {
    each_quota(id, models, [&](const quota_view& q) {
      if (q.of != quota_sort::model) return;
      const auto known = std::find_if(caps.begin(), caps.end(),
                                      [&](const model_cap& one) { return one.model == q.model; });
      if (known == caps.end())
        caps.push_back({q.model, q.left(kind)});
      else
        known->milli = std::min(known->milli, q.left(kind));
    });
  });
  return caps;
}

std::optional<quota_limit> team_tree::limit(team_id team,
                                            const holding& load,
                                            preemption kind,
                                            const std::vector<std::string>& models) const {
  std::optional<quota_limit> found;
  each_above(team, [&](team_id id) {
    each_quota(id, models, [&](const quota_view& q) {
      const auto wanted = amount(load, q.of, q.model);
      const auto borrow = kind == preemption::allowed ? q.borrow : 0;
      if (!found && wanted > 0 && q.now.held + wanted > q.quota + borrow)
        found = quota_limit{id, q.of, std::string(q.name), q.quota, borrow, q.now.held, wanted};
    });
  });
  return found;
}

bool team_tree::has_model_quotas(team_id team) const {
  for (auto id = team; id != none; id = teams_[id].parent)
    if (!teams_[id].spec.model_quotas.empty()) return true;
  return false;
}

bool team_tree::has_quota(team_id team) const {
  bool found = false;
  each_above(team, [&](team_id id) {
    const auto& spec = teams_[id].spec;
    found = found || spec.quota_milli || spec.cpu_quota_milli || spec.memory_quota_mib
            || !spec.model_quotas.empty();
  });
  return found;
}

std::vector<excess> team_tree::borrowed(team_id team,
                                        team_id beside,
                                        const std::vector<std::string>& models) const {
  std::vector<excess> found;
  for (auto id = team; id != none; id = teams_[id].parent) {
    bool above_both = false;
    each_above(beside, [&](team_id other) { above_both = above_both || other == id; });
    if (above_both) break;
    each_quota(id, models, [&](const quota_view& q) {
      if (q.now.held > q.quota) found.push_back({q.of, q.model, q.now.held - q.quota});
    });
  }
  return found;
}

std::optional<std::pair<team_id, team_id>> team_tree::fork(team_id a, team_id b) const {
  while (teams_[a].depth > teams_[b].depth)
    a = teams_[a].parent;
  while (teams_[b].depth > teams_[a].depth)
    b = teams_[b].parent;
  if (a == b) return std::nullopt;
  while (teams_[a].parent != teams_[b].parent) {
    a = teams_[a].parent;
    b = teams_[b].parent;
  }
  return std::pair(a, b);
}

int team_tree::compare_turn(team_id a, team_id b, std::chrono::milliseconds ahead) const {
  const auto counted = [&](gpu_time use, std::int64_t held) {
    return static_cast<wide>(use) + static_cast<wide>(held) * ahead.count();
  };
  if (a == b) return 0;
  if (const auto parted = fork(a, b)) {
    const auto& one = teams_[parted->first];
    const auto& two = teams_[parted->second];
    return compare_per_weight(counted(one.use, one.gpu.held), one.spec.weight,
                              counted(two.use, two.gpu.held), two.spec.weight);
  }
  // One lies above the other: its own work competes with the branch below it, as one more child of weight 1.
  const bool a_above = teams_[a].depth < teams_[b].depth;
  const auto upper = a_above ? a : b;
  auto branch = a_above ? b : a;
  while (teams_[branch].parent != upper)
    branch = teams_[branch].parent;
  const int order = compare_per_weight(counted(teams_[upper].own_use, teams_[upper].own), 1,
                                       counted(teams_[branch].use, teams_[branch].gpu.held),
                                       teams_[branch].spec.weight);
  return a_above ? order : -order;
}

}  // namespace berth::sched
