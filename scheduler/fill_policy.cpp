#include "scheduler/fill_policy.hpp"

#include "scheduler/device_mask.hpp"
#include "scheduler/futures.hpp"
#include "scheduler/learning_policy.hpp"
#include "scheduler/prices.hpp"
#include "scheduler/state_memo.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <deque>

namespace berth::sched {
namespace {

/// Costs are told apart in steps of this many milli.
constexpr std::int64_t milli_per_step = 10;
/// Processor shares are counted in this many parts of the largest node (half cores on 128 cores).
constexpr std::int32_t cpu_units_per_node = 256;
constexpr std::size_t memo_entries_log2 = 18;

/// Cost in steps to score: single steps where it matters, coarser far away on either side.
int score_of(std::int64_t milli) {
  const auto steps =
      (milli >= 0 ? milli + milli_per_step / 2 : milli - milli_per_step / 2) / milli_per_step;
  if (steps < -40)
    return static_cast<int>(std::min<std::int64_t>(score_max, 234 + (-40 - steps) / 32));
  if (steps < 130) return static_cast<int>(194 - steps);
  return static_cast<int>(std::max<std::int64_t>(1, 64 - (steps - 130) / 32));
}

/// After learning, a row follows the new opinion for so many nodes each time it is asked about.
constexpr std::size_t nodes_per_sweep = 256;

/// The nodes each repricing touched; the oldest are forgotten once rows that old had better be swept whole.
class repricing_log {
 public:
  void push_back(std::vector<node_id> nodes) {
    log_.push_back(std::move(nodes));
    if (log_.size() > kept_max) log_.pop_front();
    ++count_;
  }

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }

  [[nodiscard]] std::size_t bytes() const noexcept {
    std::size_t nodes = 0;
    for (const auto& one : log_)
      nodes += one.capacity();
    return nodes * sizeof(node_id);
  }

  /// Whether nodes touched after repricing `seen` have been forgotten.
  [[nodiscard]] bool forgotten(std::uint64_t seen) const noexcept {
    return count_ - seen > log_.size();
  }

  /// Calls `visit` for every node touched after repricing `seen`, some more than once.
  template <class Visit>
  void since(std::uint64_t seen, Visit&& visit) const {
    const auto missed = std::min<std::uint64_t>(count_ - seen, log_.size());
    for (auto at = log_.size() - missed; at < log_.size(); ++at)
      for (const auto node : log_[at])
        visit(node);
  }

 private:
  static constexpr std::size_t kept_max = 16;
  std::deque<std::vector<node_id>> log_;
  std::uint64_t count_ = 0;
};

const std::array<std::uint64_t, 1001>& device_hash() {
  static const auto table = [] {
    std::array<std::uint64_t, 1001> made{};
    for (std::size_t left = 1; left < made.size(); ++left)
      made[left] = state_memo::mixed(left);
    return made;
  }();
  return table;
}

class fill final : public learning_policy {
 public:
  explicit fill(const policy_options& options)
      : learning_policy(options), seed_(options.seed), memo_(memo_entries_log2) {}

  [[nodiscard]] std::string_view name() const noexcept override { return "fill"; }

  void arrived(const inventory& nodes, const demand& wanted) override {
    prices_.arrived(wanted.each, nodes.model_mask(wanted.models));
    count(nodes, wanted);
    if (++since_weighed_ * 16 < nodes.size()) return;
    since_weighed_ = 0;
    auto moved = prices_.weigh(nodes);
    if (moved.models) age_rows();
    if (!moved.nodes.empty()) repricings_.push_back(std::move(moved.nodes));
  }

  [[nodiscard]] std::size_t memo_bytes() const noexcept override {
    return learning_policy::memo_bytes() + memo_.bytes() + prices_.bytes() + repricings_.bytes();
  }

  [[nodiscard]] std::unique_ptr<policy> clone_for(const inventory& copy) const override {
    return std::unique_ptr<policy>(new fill(*this, copy));
  }

 private:
  fill(const fill& other, const inventory& copy)
      : learning_policy(other, copy),
        seed_(other.seed_),
        prices_(other.prices_),
        since_weighed_(other.since_weighed_),
        futures_(other.futures_),
        memo_(other.memo_),
        repricings_(other.repricings_),
        cpu_unit_(other.cpu_unit_) {}

  void learn(const inventory& nodes) override {
    std::int32_t largest = 1;
    for (std::size_t kind = 0; kind < nodes.kinds(); ++kind)
      largest = std::max(largest, nodes.kind_at(kind).cpu_milli);
    cpu_unit_ = (largest + cpu_units_per_node - 1) / cpu_units_per_node;
    futures_ = futures(nodes, seen().frequent(100), cpu_unit_, seed_);
    memo_.clear();
  }

  void before_use(const inventory& nodes, score_table::row& of) override {
    keep_learned(nodes);
    const bool fresh = of.seen == 0;
    if (of.generation != generation() || repricings_.forgotten(of.priced)) of.swept = 0;
    of.generation = generation();
    if (fresh) of.swept = nodes.size();
    const auto stop = std::min(nodes.size(), of.swept + nodes_per_sweep);
    for (; of.swept < stop; ++of.swept)
      rescore(nodes, of, static_cast<node_id>(of.swept));
    if (!fresh) repricings_.since(of.priced, [&](node_id node) { rescore(nodes, of, node); });
    of.priced = repricings_.count();
  }

  void rescore(const inventory& nodes, score_table::row& of, node_id node) {
    of.scores[node] = byte_of(nodes, of.shape, node);
  }

  struct option {
    std::int64_t cost = 0;
    std::uint64_t devices = 0;
  };

  /// lanes times the expected idle milli of one model's devices on a node.
  std::int32_t left_over(std::uint8_t model,
                         std::int32_t cpu_units,
                         std::uint64_t devices_hash,
                         std::span<const std::uint16_t> milli,
                         std::size_t changed,
                         std::uint16_t instead) {
    const auto key = devices_hash
                     + state_memo::mixed((static_cast<std::uint64_t>(model) << 32)
                                         + static_cast<std::uint32_t>(cpu_units) + 2000);
    return memo_.value(key, [&] {
      std::array<std::uint16_t, 64> rest{};
      std::copy(milli.begin(), milli.end(), rest.begin());
      if (changed < milli.size()) rest[changed] = instead;
      return futures_.left_over(model, cpu_units, {rest.data(), milli.size()});
    });
  }

  option best_option(const inventory& nodes, const asked& of, node_id node) {
    const auto& row = nodes.row(node);
    if (row.devices == 0) return {};
    const auto& kind = nodes.kind(node);
    const auto milli = nodes.milli(node);
    const auto model = kind.model[0];
    const auto& hash = device_hash();
    std::uint64_t devices_hash = 0;
    for (const auto left : milli)
      devices_hash += hash[left];
    const auto idle = static_cast<std::int32_t>(nodes.idle(node));
    const auto& each = of.each;
    const auto units_before = row.cpu_milli / cpu_unit_;
    const auto units_after = (row.cpu_milli - each.cpu_milli) / cpu_unit_;
    const auto none = milli.size();
    const std::int64_t before = left_over(model, units_before, devices_hash, milli, none, 0);
    const prices::standing was{row.cpu_milli, row.memory_mib, idle, kind.models};
    prices::standing will{row.cpu_milli - each.cpu_milli, row.memory_mib - each.memory_mib, idle,
                          kind.models};
    constexpr auto lanes = static_cast<std::int64_t>(futures::lanes);
    if (each.gpus == 0) {
      const auto after = left_over(model, units_after, devices_hash, milli, none, 0);
      return {(after - before) / lanes + prices_.slots_lost(was, will), 0};
    }
    const auto scarce = std::int64_t{each.milli()} * prices_.model_price(model, of.models) / 1000;
    auto usable = usable_devices(nodes, of, node);
    if (each.gpu_milli == 1000) {
      const auto chosen = lowest_devices(usable, each.gpus);
      std::array<std::uint16_t, 64> rest{};
      for (std::size_t device = 0; device < milli.size(); ++device)
        rest[device] = (chosen >> device & 1) != 0 ? std::uint16_t{0} : milli[device];
      will.idle -= each.gpus;
      const auto after = left_over(model, units_after, devices_hash - each.gpus * hash[1000],
                                   {rest.data(), milli.size()}, none, 0);
      return {(after - before) / lanes + prices_.slots_lost(was, will) + scarce, chosen};
    }
    option best;
    for (std::uint32_t tried = 1001; usable != 0; usable &= usable - 1) {
      const auto device = static_cast<std::size_t>(std::countr_zero(usable));
      const auto left = milli[device];
      if (left == tried) continue;
      tried = left;
      const auto rest = static_cast<std::uint16_t>(left - each.gpu_milli);
      will.idle = idle - (left == 1000 ? 1 : 0);
      const auto after = left_over(model, units_after, devices_hash - hash[left] + hash[rest],
                                   milli, device, rest);
      const auto cost = (after - before) / lanes + prices_.slots_lost(was, will) + scarce;
      if (best.devices == 0 || cost < best.cost) best = {cost, usable & ~(usable - 1)};
    }
    return best;
  }

  int score(const inventory& nodes, const asked& of, node_id node) override {
    return score_of(best_option(nodes, of, node).cost);
  }

  std::uint64_t devices(const inventory& nodes, const asked& of, node_id node) override {
    return best_option(nodes, of, node).devices;
  }

  std::uint64_t seed_;
  prices prices_;
  std::size_t since_weighed_ = 0;
  futures futures_;
  state_memo memo_;
  repricing_log repricings_;
  std::int32_t cpu_unit_ = 1;
};

}  // namespace

std::unique_ptr<policy> make_fill_policy(const policy_options& options) {
  return std::make_unique<fill>(options);
}

}  // namespace berth::sched
