#include "scheduler/fgd_policy.hpp"

#include "scheduler/fragmentation.hpp"
#include "scheduler/learning_policy.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace berth::sched {
namespace {

/// int(100 * sigmoid(x)) of x = gained / (1000 * weight), by the exact integer thresholds at which it steps.
class sigmoid_steps {
 public:
  sigmoid_steps() = default;

  explicit sigmoid_steps(std::int64_t weight) : scale_(static_cast<double>(weight) * 1000) {
    for (int step = 1; step < 100; ++step) {
      auto at = static_cast<std::int64_t>(std::log(step / (100.0 - step)) * scale_);
      while (published(at) >= step)
        --at;
      while (published(at) < step)
        ++at;
      from_[static_cast<std::size_t>(step - 1)] = at;
    }
    low_ = from_.front();
    width_ = (from_.back() - low_) / static_cast<std::int64_t>(first_guess_.size()) + 1;
    for (std::size_t bin = 0; bin < first_guess_.size(); ++bin)
      first_guess_[bin] = search(low_ + static_cast<std::int64_t>(bin) * width_);
    inverse_width_ = 1.0 / static_cast<double>(width_);
  }

  [[nodiscard]] int operator()(std::int64_t gained) const {
    if (gained < low_) return 0;
    if (gained >= from_.back()) return published(gained) >= 100 ? 100 : 99;
    const auto bin = static_cast<std::size_t>(static_cast<double>(gained - low_) * inverse_width_);
    int step = first_guess_[std::min(bin, first_guess_.size() - 1)];
    while (step > 0 && from_[static_cast<std::size_t>(step - 1)] > gained)
      --step;
    while (step < 99 && from_[static_cast<std::size_t>(step)] <= gained)
      ++step;
    return step;
  }

 private:
  [[nodiscard]] int published(std::int64_t gained) const {
    return static_cast<int>(100 * (1 / (1 + std::exp(-static_cast<double>(gained) / scale_))));
  }

  [[nodiscard]] std::uint8_t search(std::int64_t gained) const {
    return static_cast<std::uint8_t>(std::upper_bound(from_.begin(), from_.end(), gained)
                                     - from_.begin());
  }

  double scale_ = 1;
  std::array<std::int64_t, 99> from_{};  ///< from_[k - 1]: the least gain that scores k
  std::int64_t low_ = 0;
  std::int64_t width_ = 1;
  double inverse_width_ = 1;
  std::array<std::uint8_t, 1024> first_guess_{};
};

class fgd final : public learning_policy {
 public:
  explicit fgd(const policy_options& options)
      : learning_policy(options), target_(options.target), told_(!options.target.empty()) {}

  [[nodiscard]] std::string_view name() const noexcept override { return "fgd"; }

  void arrived(const inventory& nodes, const demand& wanted) override {
    if (!told_) count(nodes, wanted);
  }

  [[nodiscard]] std::unique_ptr<policy> clone_for(const inventory& copy) const override {
    return std::unique_ptr<policy>(new fgd(*this, copy));
  }

 private:
  fgd(const fgd& other, const inventory& copy)
      : learning_policy(other, copy),
        target_(other.target_),
        told_(other.told_),
        fragmentation_(other.fragmentation_),
        steps_(other.steps_) {}

  void learn(const inventory& nodes) override {
    if (!told_) target_ = seen().frequent(95);
    fragmentation_ = fragmentation(nodes, target_);
    steps_ = sigmoid_steps(std::max<std::int64_t>(fragmentation_.weight(), 1));
  }

  void before_use(const inventory& nodes, score_table::row& of) override {
    keep_learned(nodes);
    if (of.generation == generation()) return;
    of.generation = generation();
    of.seen = 0;
  }

  [[nodiscard]] fragmentation::change change(const inventory& nodes,
                                             const asked& of,
                                             node_id node) const {
    const auto usable = of.each.gpus == 0 ? 0 : usable_devices(nodes, of, node);
    return fragmentation_.best_change(nodes, of.each, usable, node, steps_);
  }

  int score(const inventory& nodes, const asked& of, node_id node) override {
    return steps_(change(nodes, of, node).gained);
  }

  std::uint64_t devices(const inventory& nodes, const asked& of, node_id node) override {
    return change(nodes, of, node).devices;
  }

  std::vector<expected_demand> target_;
  bool told_;
  fragmentation fragmentation_;
  sigmoid_steps steps_;
};

}  // namespace

std::unique_ptr<policy> make_fgd_policy(const policy_options& options) {
  return std::make_unique<fgd>(options);
}

}  // namespace berth::sched
