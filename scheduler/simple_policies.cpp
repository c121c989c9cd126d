#include "scheduler/simple_policies.hpp"

#include "scheduler/load_order.hpp"
#include "scheduler/random_source.hpp"
#include "scheduler/scored_policy.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

namespace berth::sched {
namespace {

/// The published scores are relative to the largest node of the published cluster: 128 cores and 8 GPUs.
constexpr double cpu_scale = 128'000;
constexpr double gpu_scale = 8'000;

int idle_milli(const inventory& nodes, node_id node) {
  const auto milli = nodes.milli(node);
  return std::accumulate(milli.begin(), milli.end(), 0);
}

/// A policy that is nothing but a name and a score.
template <class Policy>
class plain : public scored_policy {
 public:
  using scored_policy::scored_policy;

  [[nodiscard]] std::string_view name() const noexcept override { return Policy::word; }

  [[nodiscard]] std::unique_ptr<policy> clone_for(const inventory& copy) const override {
    return std::unique_ptr<policy>(new Policy(static_cast<const Policy&>(*this), copy));
  }
};

class bestfit final : public plain<bestfit> {
 public:
  using plain::plain;
  static constexpr std::string_view word = "bestfit";

 private:
  int score(const inventory& nodes, const asked& of, node_id node) override {
    const double cpu = nodes.row(node).cpu_milli - of.each.cpu_milli;
    const double gpu = idle_milli(nodes, node) - of.each.milli();
    return static_cast<int>(100 * (1 - (0.5 * cpu / cpu_scale + 0.5 * gpu / gpu_scale)));
  }
};

class dotprod final : public plain<dotprod> {
 public:
  using plain::plain;
  static constexpr std::string_view word = "dotprod";

 private:
  int score(const inventory& nodes, const asked& of, node_id node) override {
    const double cpu = static_cast<double>(nodes.row(node).cpu_milli) * of.each.cpu_milli;
    const double gpu = static_cast<double>(idle_milli(nodes, node)) * of.each.milli();
    return static_cast<int>(
        100 * (1 - (cpu / (cpu_scale * cpu_scale) + gpu / (gpu_scale * gpu_scale)) / 2));
  }
};

/// Keep idle nodes idle, then idle devices.
class pack final : public plain<pack> {
 public:
  using plain::plain;
  static constexpr std::string_view word = "pack";

 private:
  int score(const inventory& nodes, const asked& of, node_id node) override {
    if (of.each.gpus == 0) return 0;
    const auto milli = nodes.milli(node);
    const auto idle = static_cast<int>(std::count(milli.begin(), milli.end(), 1000));
    if (idle == static_cast<int>(milli.size())) return std::max(33 - idle, idle);
    int whole_taken = 0;
    int percent = 0;
    for (auto taken = best_fit_devices(nodes, of, node); taken != 0; taken &= taken - 1) {
      const int left = milli[static_cast<std::size_t>(std::countr_zero(taken))];
      whole_taken += left == 1000 ? 1 : 0;
      percent += left * 100 / 1000;
    }
    return whole_taken > 0 ? std::max(50 - whole_taken, 33) : std::max(100 - percent / 10, 50);
  }
};

/// Keep work of one size together. The size is a share, or the number of devices.
class cluster final : public plain<cluster> {
 public:
  using plain::plain;
  static constexpr std::string_view word = "cluster";

 private:
  static std::uint64_t tag(const need& of) {
    if (of.gpus == 0) return 0;
    return of.gpu_milli < 1000 ? 1 : std::uint64_t{1} << std::min<std::uint16_t>(of.gpus, 63);
  }

  int score(const inventory& nodes, const asked& of, node_id node) override {
    if (of.each.gpus == 0) return 0;
    std::uint64_t running = 0;
    nodes.each_on(node, [&](claim, slot, const need& there) { running |= tag(there); });
    const auto own = tag(of.each);
    const int company = running == 0 ? 25 : running == own ? 75 : (running & own) != 0 ? 50 : 0;
    return 25 * (8000 - idle_milli(nodes, node)) / 8000 + company;
  }
};

/// Evens the load out: a coarse byte, then the exact order among equals.
class spread final : public plain<spread> {
 public:
  explicit spread(const policy_options& options) : plain(options) {}

  spread(const spread& other, const inventory& copy) : plain(other, copy), order_(other.order_) {
    order_.belong_to(copy);
  }

  static constexpr std::string_view word = "spread";

  [[nodiscard]] std::size_t memo_bytes() const noexcept override {
    return plain::memo_bytes() + order_.bytes();
  }

 private:
  int score(const inventory& nodes, const asked& /*of*/, node_id node) override {
    const auto load = load_order::of(nodes, node);
    return score_max - static_cast<int>(load.allocated * score_max / load.capacity);
  }

  node_id among_equals(const inventory& nodes,
                       const score_table::row& of,
                       const node_mask* allowed,
                       best_score first) override {
    order_.follow(nodes);
    const load_order::load least{score_max + 1 - first.value, score_max};
    return order_.first_from(least, [&](node_id node) {
      return of.scores[node] == first.value && (allowed == nullptr || (*allowed)[node] != 0);
    });
  }

  load_order order_;
};

/// Any feasible node, any feasible devices there.
class random_choice final : public scored_policy {
 public:
  explicit random_choice(const policy_options& options)
      : scored_policy(options), random_(options.seed) {}

  [[nodiscard]] std::string_view name() const noexcept override { return "random"; }

  [[nodiscard]] std::unique_ptr<policy> clone_for(const inventory& copy) const override {
    return std::unique_ptr<policy>(new random_choice(*this, copy));
  }

  /// The first feasible one of nodes drawn at random is as good as one drawn among the feasible. Where those are rare,
  /// they are counted instead.
  [[nodiscard]] std::optional<slot> choose(const inventory& nodes,
                                           const demand& wanted,
                                           const node_mask* allowed) override {
    const auto of = compile(nodes, wanted);
    const auto count = static_cast<std::uint32_t>(nodes.size());
    for (int draw = 0; count > 0 && draw < draws_max; ++draw) {
      const node_id node = random_.below(count);
      if (allowed != nullptr && (*allowed)[node] == 0) continue;
      if (feasible(nodes, of, node)) return slot{node, devices(nodes, of, node)};
    }
    return scored_policy::choose(nodes, wanted, allowed);
  }

 private:
  static constexpr int draws_max = 64;
  static constexpr std::size_t block = 1024;

  random_choice(const random_choice& other, const inventory& copy)
      : scored_policy(other, copy), random_(other.random_) {}

  int score(const inventory& /*nodes*/, const asked& /*of*/, node_id /*node*/) override {
    return 0;
  }

  node_id among_equals(const inventory& nodes,
                       const score_table::row& of,
                       const node_mask* allowed,
                       best_score /*first*/) override {
    const auto open = [&](std::size_t node) {
      return of.scores[node] != 0 && (allowed == nullptr || (*allowed)[node] != 0);
    };
    open_in_block_.assign(nodes.size() / block + 1, 0);
    std::uint32_t count = 0;
    for (std::size_t node = 0; node < nodes.size(); ++node)
      open_in_block_[node / block] += open(node) ? 1 : 0;
    for (const auto some : open_in_block_)
      count += some;
    auto skip = random_.below(count);
    std::size_t at = 0;
    for (; skip >= open_in_block_[at]; ++at)
      skip -= open_in_block_[at];
    std::size_t node = at * block;
    while (!open(node) || skip-- > 0)
      ++node;
    return static_cast<node_id>(node);
  }

  std::uint64_t devices(const inventory& nodes, const asked& of, node_id node) override {
    auto usable = of.each.gpus == 0 ? 0 : usable_devices(nodes, of, node);
    std::uint64_t chosen = 0;
    for (std::uint16_t taken = 0; taken < of.each.gpus; ++taken) {
      auto rest = usable;
      for (auto skip = random_.below(static_cast<std::uint32_t>(std::popcount(rest))); skip > 0;
           --skip)
        rest &= rest - 1;
      const auto one = rest & ~(rest - 1);
      chosen |= one;
      usable &= ~one;
    }
    return chosen;
  }

  random_source random_;
  std::vector<std::uint32_t> open_in_block_;  ///< of one decision
};

}  // namespace

std::unique_ptr<policy> make_simple_policy(std::string_view name, const policy_options& options) {
  if (name == bestfit::word) return std::make_unique<bestfit>(options);
  if (name == dotprod::word) return std::make_unique<dotprod>(options);
  if (name == pack::word) return std::make_unique<pack>(options);
  if (name == cluster::word) return std::make_unique<cluster>(options);
  if (name == spread::word) return std::make_unique<spread>(options);
  if (name == "random") return std::make_unique<random_choice>(options);
  return nullptr;
}

}  // namespace berth::sched
