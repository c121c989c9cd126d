#pragma once
// Teams: who may hold how much, and whose turn it is.
//
// Teams form a tree. A team has a weight against its siblings, and may have quotas: bounds on the GPUs its subtree holds
// at a time, in all and per device model. Work that cannot be taken away again always keeps within them; preemptible
// work may go beyond by what the team may borrow, and is what gives way when the lender wants it back.
//
// Whose turn it is follows from use: device time held, halved with every half-life. Less use per weight goes first,
// compared between siblings from the top of the tree down.

#include "scheduler/demand.hpp"
#include "scheduler/work.hpp"

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

/// A team as an administrator writes it. Quantities in milli-GPU, subtree included.
struct team_spec {
  std::string name;    ///< unique
  std::string parent;  ///< empty: a team of its own
  std::uint32_t weight = 1;
  std::optional<std::int64_t> quota_milli;           ///< none: bounded by the parents' only
  std::map<std::string, std::int64_t> model_quotas;  ///< device model → milli-GPU
  std::int64_t borrow_milli = 0;  ///< what preemptible work may hold beyond each of the quotas
  friend bool operator==(const team_spec&, const team_spec&) = default;
};

/// Devices a job holds: milli-GPU by model id of the inventory. A value.
struct gpu_load {
  std::int64_t milli = 0;
  std::vector<std::pair<std::uint8_t, std::int64_t>> by_model;
  friend bool operator==(const gpu_load&, const gpu_load&) = default;
};

/// How a load stands to the quotas of a team and all above it.
enum class quota_room : std::uint8_t {
  within,   ///< inside every quota
  borrows,  ///< beyond some quota, inside what may be borrowed (preemptible work only)
  full,     ///< not now; there would be room if the team held less
  never,    ///< more than quota and borrowing admit even when the team holds nothing
};

/// What a quota says no to, for people.
struct quota_limit {
  team_id team = 0;
  std::string model;  ///< empty: GPUs in all
  std::int64_t quota_milli = 0;
  std::int64_t held_milli = 0;
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
  void take(team_id team, const gpu_load& load, preemption kind);
  void give(team_id team, const gpu_load& load, preemption kind);

  /// As if nothing were held; for questions about an empty cluster.
  void forget_held();

  /// Where a further load would stand. Model quotas are looked up in `models`, the inventory's names by id.
  [[nodiscard]] quota_room room(team_id team,
                                const gpu_load& load,
                                preemption kind,
                                const std::vector<std::string>& models) const;
  /// The first limit in the way of `load`; nothing when `room` is `within` or `borrows`.
  [[nodiscard]] std::optional<quota_limit> limit(team_id team,
                                                 const gpu_load& load,
                                                 preemption kind,
                                                 const std::vector<std::string>& models) const;
  /// Whether some team has a quota on device models.
  [[nodiscard]] bool has_model_quotas(team_id team) const;

  /// Whether the team or some team above it has a quota on GPUs in all.
  [[nodiscard]] bool has_quota(team_id team) const;

  /// Calls `visit(team)` for a team and all above it.
  template <class Visit>
  void each_above(team_id team, Visit&& visit) const {
    for (; team != none; team = teams_[team].parent)
      visit(team);
  }

  /// Milli-GPU the team and those below it hold now; `firm`: of work that is not preemptible.
  [[nodiscard]] std::int64_t held(team_id team) const noexcept { return teams_[team].held; }

  [[nodiscard]] std::int64_t held_firm(team_id team) const noexcept { return teams_[team].firm; }

  /// How far the team, or some team above it and not above `beside`, is beyond a quota; 0 when within all.
  [[nodiscard]] std::int64_t borrowed(team_id team, team_id beside) const;

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

  struct team {
    team_spec spec;
    team_id parent = none;
    std::uint32_t depth = 0;
    std::int64_t held = 0;
    std::int64_t firm = 0;
    std::int64_t own = 0;                     ///< held by the team itself, not below
    std::vector<std::int64_t> held_by_model;  ///< by model id
    std::vector<std::int64_t> firm_by_model;
    gpu_time use = 0;
    gpu_time own_use = 0;
    gpu_time consumed = 0;
  };

  struct quota_view {
    team_id team;
    std::string_view model;
    std::int64_t quota, borrow, held, firm, wanted;
  };

  template <class Visit>
  void each_quota(team_id team,
                  const gpu_load& load,
                  const std::vector<std::string>& models,
                  Visit&& visit) const;
  void count(team_id team, const gpu_load& load, preemption kind, std::int64_t sign);

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
