#include "scheduler/defragment.hpp"

#include "scheduler/policy.hpp"

#include <algorithm>
#include <numeric>
#include <set>
#include <tuple>

namespace berth::sched {
namespace {

/// Devices of one node that are alike to whoever takes some of them: as much left, in the same island.
struct device_class {
  std::uint64_t devices = 0;
  std::size_t count = 0;
};

std::vector<device_class> classes_with_room(const inventory& nodes,
                                            node_id node,
                                            const need& each) {
  const auto milli = nodes.milli(node);
  const auto memory = nodes.device_memory(node);
  const auto& kind = nodes.kind(node);
  std::map<std::tuple<std::uint16_t, std::uint32_t, std::uint8_t, std::size_t>, device_class> found;
  for (std::size_t device = 0; device < milli.size(); ++device) {
    if (milli[device] < each.gpu_milli || memory[device] < each.device_memory_mib) continue;
    const auto island = static_cast<std::size_t>(
        std::find_if(kind.islands.begin(), kind.islands.end(),
                     [&](std::uint64_t mask) { return (mask >> device & 1U) != 0; })
        - kind.islands.begin());
    auto& one = found[{milli[device], memory[device], kind.model[device], island}];
    one.devices |= 1ULL << device;
    ++one.count;
  }
  std::vector<device_class> classes;
  for (const auto& [key, one] : found)
    classes.push_back(one);
  return classes;
}

std::uint64_t lowest(std::uint64_t devices, std::size_t count) {
  std::uint64_t some = 0;
  for (; count > 0; --count) {
    const auto bit = devices & (~devices + 1);
    some |= bit;
    devices ^= bit;
  }
  return some;
}

/// All ways to take `count` devices, told apart by how many come from each class.
void each_choice(const std::vector<device_class>& classes,
                 std::size_t at,
                 std::size_t count,
                 std::uint64_t taken,
                 std::vector<std::uint64_t>& choices) {
  if (count == 0) {
    choices.push_back(taken);
    return;
  }
  if (at == classes.size()) return;
  for (std::size_t some = std::min(count, classes[at].count) + 1; some-- > 0;)
    each_choice(classes, at + 1, count - some, taken | lowest(classes[at].devices, some), choices);
}

class search {
 public:
  search(inventory& nodes,
         policy& by,
         const demand& gang,
         const std::vector<movable>& jobs,
         const plan_options& options,
         std::size_t plans_max)
      : nodes_(nodes),
        by_(by),
        gang_(gang),
        jobs_(jobs),
        options_(options),
        plans_left_(plans_max) {
    for (const auto& one : jobs) {
      held_.push_back(one.held);
      where_.push_back(nodes.held(one.held).value_or(placement{}));
    }
    order_.resize(jobs.size());
    std::iota(order_.begin(), order_.end(), 0);
    std::stable_sort(order_.begin(), order_.end(),
                     [&](std::size_t a, std::size_t b) { return jobs[a].loss < jobs[b].loss; });
  }

  std::optional<relocation_plan> run() {
    for (std::size_t moves = 1; moves <= jobs_.size() && plans_left_ > 0; ++moves) {
      if (choose(0, moves)) return std::move(found_);
      chosen_.clear();
    }
    return std::nullopt;
  }

 private:
  /// Chooses `more` further jobs to take away, from position `at` on.
  bool choose(std::size_t at, std::size_t more) {
    if (more == 0) return gang_fits() && place_again(0);
    for (std::size_t i = at; i + more <= order_.size() && plans_left_ > 0; ++i) {
      const auto job = order_[i];
      (void)nodes_.release(held_[job]);
      chosen_.push_back(job);
      const bool done = choose(i + 1, more - 1);
      chosen_.pop_back();
      if (auto again = nodes_.reserve(where_[job]); again && !done) held_[job] = *again;
      if (done) return true;
    }
    return false;
  }

  std::optional<placement> plan_gang() {
    if (plans_left_ == 0) return std::nullopt;
    --plans_left_;
    auto placed = plan(nodes_, by_, gang_, options_);
    return placed ? std::optional(std::move(*placed)) : std::nullopt;
  }

  bool gang_fits() { return plan_gang().has_value(); }

  /// Finds places for the chosen jobs from number `at` on such that the gang still fits.
  bool place_again(std::size_t at) {
    if (at == chosen_.size()) {
      auto where = plan_gang();
      if (!where) return false;
      found_.where = std::move(*where);
      found_.moves.clear();
      for (std::size_t i = 0; i < chosen_.size(); ++i)
        found_.moves.push_back({chosen_[i], places_[i]});
      return true;
    }
    for (auto& place : places_for(jobs_[chosen_[at]])) {
      auto held = nodes_.reserve(place);
      if (!held) continue;
      places_.push_back(std::move(place));
      const bool done = gang_fits() && place_again(at + 1);
      places_.pop_back();
      (void)nodes_.release(*held);
      if (done) return true;
      if (plans_left_ == 0) return false;
    }
    return false;
  }

  std::vector<placement> places_for(const movable& job) {
    const auto& wanted = *job.wanted;
    const plan_options options{job.allowed.empty() ? nullptr : &job.allowed, {}};
    const bool exact = nodes_.size() <= defragment_exact_nodes && !wanted.gang && !wanted.affinity
                       && wanted.replicas == 1;
    std::vector<placement> places;
    if (!exact) {
      if (auto placed = plan(nodes_, by_, wanted, options)) places.push_back(std::move(*placed));
      return places;
    }
    for (node_id node = 0; node < nodes_.size(); ++node) {
      if (why_not(nodes_, wanted, node, options) != obstacle::none) continue;
      std::vector<std::uint64_t> choices;
      each_choice(classes_with_room(nodes_, node, wanted.each), 0, wanted.each.gpus, 0, choices);
      const auto admitted = nodes_.model_mask(wanted.models);
      for (const auto devices : choices) {
        if (!models_admitted(node, devices, admitted)) continue;
        places.push_back({wanted.each, {{node, devices}}, proximity::device, 0});
        measure(nodes_, places.back());
      }
    }
    return places;
  }

  [[nodiscard]] bool models_admitted(node_id node,
                                     std::uint64_t devices,
                                     std::uint64_t admitted) const {
    const auto& kind = nodes_.kind(node);
    for (std::size_t device = 0; device < kind.model.size(); ++device)
      if ((devices >> device & 1U) != 0 && (admitted >> kind.model[device] & 1U) == 0) return false;
    return true;
  }

  inventory& nodes_;
  policy& by_;
  const demand& gang_;
  const std::vector<movable>& jobs_;
  const plan_options& options_;
  std::size_t plans_left_;
  std::vector<claim> held_;
  std::vector<placement> where_;
  std::vector<std::size_t> order_;
  std::vector<std::size_t> chosen_;
  std::vector<placement> places_;
  relocation_plan found_;
};

}  // namespace

std::optional<relocation_plan> fewest_moves(inventory& nodes,
                                            policy& by,
                                            const demand& gang,
                                            const std::vector<movable>& jobs,
                                            const plan_options& options,
                                            std::size_t plans_max) {
  return search(nodes, by, gang, jobs, options, plans_max).run();
}

}  // namespace berth::sched
