#pragma once
// The common half of the policies that learn what work to expect: they count arrivals, form an opinion of them again
// whenever they have grown enough, and let the rows of scores follow.

#include "scheduler/scored_policy.hpp"
#include "scheduler/workload.hpp"

namespace berth::sched {

class learning_policy : public scored_policy {
 public:
  explicit learning_policy(const policy_options& options) : scored_policy(options) {}

  [[nodiscard]] std::size_t memo_bytes() const noexcept override {
    return scored_policy::memo_bytes() + seen_.bytes();
  }

 protected:
  learning_policy(const learning_policy& other, const inventory& copy)
      : scored_policy(other, copy),
        seen_(other.seen_),
        when_(other.when_),
        models_known_(other.models_known_),
        generation_(other.generation_) {}

  /// Forms an opinion from what was `seen` so far.
  virtual void learn(const inventory& nodes) = 0;

  void count(const inventory& nodes, const demand& wanted) {
    seen_.arrived(wanted.each, wanted.models);
    if (when_.due(seen_.arrivals())) learn_again(nodes);
  }

  /// Sees to it that there is an opinion, and that it is of all the device models there are.
  void keep_learned(const inventory& nodes) {
    if (generation_ == 0 || models_known_ != nodes.models().size()) learn_again(nodes);
  }

  [[nodiscard]] const workload& seen() const noexcept { return seen_; }

  /// Grows with every opinion; a row made under an older one is out of date.
  [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }

  void age_rows() noexcept { ++generation_; }

 private:
  void learn_again(const inventory& nodes) {
    learn(nodes);
    models_known_ = nodes.models().size();
    ++generation_;
  }

  workload seen_;
  relearning when_;
  std::size_t models_known_ = 0;
  std::uint64_t generation_ = 0;
};

}  // namespace berth::sched
