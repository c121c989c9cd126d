#include "scheduler/eviction_search.hpp"

#include "scheduler/policy.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

namespace berth::sched {
namespace {

using set = std::vector<std::size_t>;

/// The scratch inventory with some candidates away. Going and coming back are exact inverses.
class absence {
 public:
  absence(inventory& nodes, const std::vector<evictable>& candidates)
      : nodes_(nodes), away_(candidates.size()) {
    for (const auto& one : candidates) {
      held_.push_back(one.held);
      where_.push_back(nodes.held(one.held).value_or(placement{}));
    }
  }

  void go(std::size_t who) {
    if (std::exchange(away_[who], 1) == 0) (void)nodes_.release(held_[who]);
  }

  void come_back(std::size_t who) {
    if (std::exchange(away_[who], 0) == 1)
      if (auto again = nodes_.reserve(where_[who])) held_[who] = *again;
  }

  [[nodiscard]] const placement& where(std::size_t who) const { return where_[who]; }

 private:
  inventory& nodes_;
  std::vector<std::uint8_t> away_;
  std::vector<claim> held_;
  std::vector<placement> where_;
};

/// Walks the subsets of one node's candidates in order of loss, cutting off what cannot beat the best so far.
class node_search {
 public:
  node_search(absence& who,
              const std::vector<evictable>& candidates,
              std::function<bool(const set&)> fair,
              std::function<bool(const set&)> works,
              std::optional<std::pair<gpu_time, set>>& best)
      : who_(who),
        candidates_(candidates),
        fair_(std::move(fair)),
        works_(std::move(works)),
        best_(best) {}

  void walk(const set& sorted, std::size_t at, gpu_time loss) {
    if (best_ && std::pair(loss, chosen_.size()) >= std::pair(best_->first, best_->second.size()))
      return;
    if (!chosen_.empty() && !fair_(chosen_)) return;
    if (!chosen_.empty() && works_(chosen_)) {
      best_ = std::pair(loss, chosen_);
      std::sort(best_->second.begin(), best_->second.end());
      return;
    }
    for (std::size_t i = at; i < sorted.size(); ++i) {
      chosen_.push_back(sorted[i]);
      who_.go(sorted[i]);
      walk(sorted, i + 1, loss + candidates_[sorted[i]].loss);
      who_.come_back(sorted[i]);
      chosen_.pop_back();
    }
  }

  /// Cheapest first until it works, then back with whoever is not needed, dearest first.
  void greedy(const set& sorted) {
    bool enough = false;
    for (std::size_t i = 0; i < sorted.size() && !enough; ++i) {
      chosen_.push_back(sorted[i]);
      if (!fair_(chosen_)) {
        chosen_.pop_back();
        continue;
      }
      who_.go(sorted[i]);
      enough = works_(chosen_);
    }
    if (enough) prune();
    for (const auto one : chosen_)
      who_.come_back(one);
    chosen_.clear();
  }

 private:
  void prune() {
    for (std::size_t i = chosen_.size(); i-- > 0;) {
      auto fewer = chosen_;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
      who_.come_back(chosen_[i]);
      if (!fewer.empty() && works_(fewer))
        chosen_ = std::move(fewer);
      else
        who_.go(chosen_[i]);
    }
    const auto loss =
        std::accumulate(chosen_.begin(), chosen_.end(), gpu_time{0},
                        [&](gpu_time sum, std::size_t one) { return sum + candidates_[one].loss; });
    if (best_ && std::pair(loss, chosen_.size()) >= std::pair(best_->first, best_->second.size()))
      return;
    best_ = std::pair(loss, chosen_);
    std::sort(best_->second.begin(), best_->second.end());
  }

  absence& who_;
  const std::vector<evictable>& candidates_;
  std::function<bool(const set&)> fair_;
  std::function<bool(const set&)> works_;
  std::optional<std::pair<gpu_time, set>>& best_;
  set chosen_;
};

set by_loss(const std::vector<evictable>& candidates, set some) {
  std::stable_sort(some.begin(), some.end(), [&](std::size_t a, std::size_t b) {
    return candidates[a].loss < candidates[b].loss;
  });
  return some;
}

bool is_one_replica(const demand& wanted) {
  return wanted.gang ? wanted.gang->ranks_max == 1 : wanted.replicas == 1;
}

}  // namespace

std::optional<eviction_plan> least_loss(inventory& nodes,
                                        policy& by,
                                        const demand& wanted,
                                        const std::vector<evictable>& candidates,
                                        const plan_options& options,
                                        const eviction_rules& rules) {
  absence who(nodes, candidates);
  std::optional<std::pair<gpu_time, set>> best;
  if (is_one_replica(wanted)) {
    std::map<node_id, set> on;
    for (std::size_t i = 0; i < candidates.size(); ++i)
      for (const auto& rank : who.where(i).ranks)
        if (auto& here = on[rank.node]; here.empty() || here.back() != i) here.push_back(i);
    for (const auto& [node, here] : on) {
      if (options.allowed != nullptr && (*options.allowed)[node] == 0) continue;
      const auto works = [&, at = node](const set& gone) {
        return rules.enough(gone) && why_not(nodes, wanted, at, options) == obstacle::none;
      };
      node_search search(who, candidates, rules.fair, works, best);
      const auto sorted = by_loss(candidates, here);
      if (here.size() <= eviction_exact_max)
        search.walk(sorted, 0, 0);
      else
        search.greedy(sorted);
    }
  } else {
    set all(candidates.size());
    std::iota(all.begin(), all.end(), 0);
    const auto works = [&](const set& gone) {
      return rules.enough(gone) && plan(nodes, by, wanted, options).has_value();
    };
    node_search(who, candidates, rules.fair, works, best).greedy(by_loss(candidates, all));
  }
  if (!best) return std::nullopt;
  for (const auto one : best->second)
    who.go(one);
  auto where = plan(nodes, by, wanted, options);
  if (!where) return std::nullopt;
  return eviction_plan{std::move(best->second), std::move(*where), best->first};
}

}  // namespace berth::sched
