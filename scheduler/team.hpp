#pragma once
// Teams: who may hold how much, and whose turn it is.
//
// Teams form a tree. A team has a weight against its siblings, and may have quotas: bounds on what its subtree holds at
// a time, of GPUs in all and per device model, of processor and of memory. Work that cannot be taken away again always keeps within them; preemptible
// work may go beyond by what the team may borrow, and is what gives way when the lender wants it back.
//
// Whose turn it is follows from use: device time held, halved with every half-life. Less use per weight goes first,
// compared between siblings from the top of the tree down.

#include "scheduler/demand.hpp"
#include "scheduler/placement.hpp"
#include "scheduler/work.hpp"

#include <algorithm>
#include <berth/error.hpp>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace berth::sched {

using team_id = std::uint32_t;
inline constexpr std::uint32_t team_weight_max = 1'000'000;
inline constexpr std::int64_t borrow_unbounded = std::numeric_limits<std::int64_t>::max() / 4;

/// A team as an administrator writes it. Quantities in milli-GPU where not said otherwise, subtree included.
struct team_spec {
  std::string name;    ///< unique
  std::string parent;  ///< empty: a team of its own
  std::uint32_t weight = 1;
  std::optional<std::int64_t> quota_milli;           ///< none: bounded by the parents' only
  std::map<std::string, std::int64_t> model_quotas;  ///< device model → milli-GPU
  std::int64_t borrow_milli =
      0;  ///< what preemptible work may hold beyond each of the quotas above
  std::optional<std::int64_t> cpu_quota_milli = std::nullopt;
  std::int64_t cpu_borrow_milli = 0;
  std::optional<std::int64_t> memory_quota_mib = std::nullopt;
  std::int64_t memory_borrow_mib = 0;
  friend bool operator==(const team_spec&, const team_spec&) = default;
};

/// What a job holds of the things quotas are about: milli-GPU in all and by model id of the inventory, processor, memory.
/// A value.
struct holding {
  std::int64_t milli = 0;
  std::vector<std::pair<std::uint8_t, std::int64_t>> by_model;
  std::int64_t cpu_milli = 0;
  std::int64_t memory_mib = 0;
  friend bool operator==(const holding&, const holding&) = default;
};

/// How a load stands to the quotas of a team and all above it.
enum class quota_room : std::uint8_t {
  within,   ///< inside every quota
  borrows,  ///< beyond some quota, inside what may be borrowed (preemptible work only)
  full,     ///< not now; there would be room if the team held less
  never,    ///< more than quota and borrowing admit even when the team holds nothing
};

/// What a quota bounds.
enum class quota_sort : std::uint8_t { gpus, model, cpu, memory };

/// The part of a load that a quota is about.
[[nodiscard]] std::int64_t amount(const holding& load, quota_sort of, std::uint8_t model) noexcept;

/// What is held beyond a quota.
struct excess {
  quota_sort of = quota_sort::gpus;
  std::uint8_t model = 0;  ///< of a quota on one device model
  std::int64_t beyond = 0;
};

/// What a quota says no to, for people. Quantities in milli-GPU, milli-cores or MiB.
struct quota_limit {
  team_id team = 0;
  quota_sort of = quota_sort::gpus;
  std::string model;  ///< of a quota on one device model
  std::int64_t quota = 0;
  std::int64_t borrow = 0;  ///< beyond the quota, for the work that asks
  std::int64_t held = 0;
  std::int64_t wanted = 0;
};

class team_tree {
 public:
  /// `half_life` of use; positive.
  explicit team_tree(std::chrono::milliseconds half_life) : half_life_(half_life) {}

  /// Adds a team or changes one; what it holds and has used stays. Errors: `invalid`/"bad_team" for a parent that does
  /// not exist or would close a circle, a weight outside 1 … 1,000,000, a negative quota.
  result<team_id> set(const team_spec& spec);
  [[nodiscard]] std::optional<team_id> find(std::string_view name) const;
  /// The team of that name, made with weight 1 and no quota when it does not exist.
  team_id find_or_add(const std::string& name);

  [[nodiscard]] std::size_t size() const noexcept { return teams_.size(); }

  [[nodiscard]] const team_spec& spec(team_id team) const { return teams_[team].spec; }

  /// Brings use up to `now`; time never goes backwards. Cost: O(teams).
  void advance(instant now);

  /// Counts a load as held (or no longer held) by the team and all above it. `preemptible` work may borrow.
  void take(team_id team, const holding& load, preemption kind);
  void give(team_id team, const holding& load, preemption kind);

  /// Holds of each thing the most that this tree or `other`, a tree of the same teams, holds: a load that has room here
  /// has room in both. Cost: O(teams).
  void hold_most_of(const team_tree& other);

  /// As if nothing were held; for questions about an empty cluster.
  void forget_held();

  /// Where a further load would stand. Model quotas are looked up in `models`, the inventory's names by id.
  [[nodiscard]] quota_room room(team_id team,
                                const holding& load,
                                preemption kind,
                                const std::vector<std::string>& models) const;
  /// What quotas on device models leave for the team's further work; a model without a quota is not named.
  [[nodiscard]] std::vector<model_cap> model_caps(team_id team,
                                                  preemption kind,
                                                  const std::vector<std::string>& models) const;
  /// The first limit in the way of `load`; nothing when `room` is `within` or `borrows`.
  [[nodiscard]] std::optional<quota_limit> limit(team_id team,
                                                 const holding& load,
                                                 preemption kind,
                                                 const std::vector<std::string>& models) const;
  /// Whether some team has a quota on device models.
  [[nodiscard]] bool has_model_quotas(team_id team) const;

  /// Whether the team or some team above it has a quota.
  [[nodiscard]] bool has_quota(team_id team) const;

  /// Calls `visit(team)` for a team and all above it.
  template <class Visit>
  void each_above(team_id team, Visit&& visit) const {
    for (; team != none; team = teams_[team].parent)
      visit(team);
  }

  /// Milli-GPU the team and those below it hold now; `firm`: of work that is not preemptible.
  [[nodiscard]] std::int64_t held(team_id team) const noexcept { return teams_[team].gpu.held; }

  [[nodiscard]] std::int64_t held_firm(team_id team) const noexcept {
    return teams_[team].gpu.firm;
  }

  /// How far the team, or some team above it and not above `beside`, is beyond which quotas; nothing when within all.
  [[nodiscard]] std::vector<excess> borrowed(team_id team,
                                             team_id beside,
                                             const std::vector<std::string>& models) const;

  /// Device time held since the start, undecayed, and use as it counts now.
  [[nodiscard]] gpu_time consumed(team_id team) const noexcept { return teams_[team].consumed; }

  [[nodiscard]] gpu_time use(team_id team) const noexcept { return teams_[team].use; }

  /// Whose turn it is: negative when `a` goes before `b`. What is held counts as used for `ahead` more, so that a
  /// burst of starts is dealt out by weight.
  [[nodiscard]] int compare_turn(team_id a, team_id b, std::chrono::milliseconds ahead) const;

  /// The two siblings at which the branches of `a` and `b` part; nothing when one is the other or lies above it.
  [[nodiscard]] std::optional<std::pair<team_id, team_id>> fork(team_id a, team_id b) const;

  /// The share of `capacity` milli-GPU that a team is due among siblings for which `active` answers true, from the top
  /// of the tree down.
  template <class Active>
  [[nodiscard]] std::int64_t due(team_id team, std::int64_t capacity, Active&& active) const;

 private:
  static constexpr team_id none = 0xFFFFFFFFU;

  /// Of one thing, in all and by work that is not preemptible.
  struct tally {
    std::int64_t held = 0;
    std::int64_t firm = 0;

    void count(std::int64_t amount, preemption kind) {
      held += amount;
      if (kind == preemption::never) firm += amount;
    }

    void raise_to(const tally& other) {
      held = std::max(held, other.held);
      firm = std::max(firm, other.firm);
    }
  };

  struct team {
    team_spec spec;
    team_id parent = none;
    std::uint32_t depth = 0;
    tally gpu;
    tally cpu;
    tally memory;
    std::vector<tally> by_model;  ///< by model id
    std::int64_t own = 0;         ///< milli-GPU held by the team itself, not below
    gpu_time use = 0;
    gpu_time own_use = 0;
    gpu_time consumed = 0;
  };

  struct quota_view {
    quota_sort of;
    std::string_view name;  ///< of the model
    std::uint8_t model;
    std::int64_t quota, borrow;
    tally now;

    /// The most that may be taken besides. Firm work counts only firm work against the quota: preemptible work of the
    /// same team then runs on what the team borrows, and all together stay within quota and borrowing.
    [[nodiscard]] std::int64_t left(preemption kind) const {
      const auto in_all = quota + borrow - now.held;
      return kind == preemption::allowed ? in_all : std::min(quota - now.firm, in_all);
    }
  };

  /// Calls `visit(quota_view)` for each quota of one team.
  template <class Visit>
  void each_quota(team_id team, const std::vector<std::string>& models, Visit&& visit) const;
  void count(team_id team, const holding& load, preemption kind, std::int64_t sign);

  std::chrono::milliseconds half_life_;
  instant now_{0};
  std::vector<team> teams_;
  std::map<std::string, team_id, std::less<>> by_name_;
};

template <class Active>
std::int64_t team_tree::due(team_id team, std::int64_t capacity, Active&& active) const {
  const auto parent = teams_[team].parent;
  const auto above = parent == none ? capacity : due(parent, capacity, active);
  std::int64_t weights = 0;
  for (team_id other = 0; other < teams_.size(); ++other)
    if (teams_[other].parent == parent && (other == team || active(other)))
      weights += teams_[other].spec.weight;
  return above * teams_[team].spec.weight / weights;
}

}  // namespace berth::sched
