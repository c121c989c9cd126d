#pragma once
// Workload: how often each shape of demand has arrived.
//
// A shape is the processor share, the devices and the admitted models; memory is left out, as in the published target
// workloads. What is learned depends on the sequence of arrivals only. Any number of different shapes may come: when
// there are too many, the rarer half is forgotten.

#include "scheduler/policy.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace berth::sched {

class workload {
 public:
  /// Shapes remembered at most; the published workloads have 126 to 337. Counting an arrival costs a look-up, and a
  /// sort of them all once in half as many new shapes.
  static constexpr std::size_t shapes_max = 4096;

  /// Counts one arrival.
  void arrived(const need& each, const std::vector<std::string>& models, std::uint64_t times = 1);

  [[nodiscard]] std::uint64_t arrivals() const noexcept { return arrivals_; }

  /// Shapes remembered now.
  [[nodiscard]] std::size_t shapes() const noexcept { return counts_.size(); }

  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

  /// The most frequent shapes: by count, then (cpu, milli, devices, models), all descending, until their counts reach
  /// `percent` of the arrivals remembered. The published target workload has 95.
  [[nodiscard]] std::vector<expected_demand> frequent(std::uint32_t percent) const;

 private:
  struct key {
    std::int32_t cpu_milli = 0;
    std::uint16_t gpu_milli = 0;
    std::uint16_t gpus = 0;
    std::vector<std::string> models;
    friend auto operator<=>(const key&, const key&) = default;
  };

  [[nodiscard]] static std::size_t cost(const key& shape);
  void forget_rarer_half();

  std::map<key, std::uint64_t> counts_;
  std::uint64_t arrivals_ = 0;
  std::uint64_t remembered_ = 0;  ///< arrivals of the shapes remembered
  std::size_t bytes_ = 0;
};

/// When to learn again: at the first arrivals, then whenever they have grown by 1.3 since the last time. A ratio keeps
/// the cost of learning logarithmic and the opinion fresh.
class relearning {
 public:
  /// True when it is time, given the number of arrivals so far; remembers that it was.
  [[nodiscard]] bool due(std::uint64_t arrivals) {
    if (arrivals < next_) return false;
    next_ = arrivals + (arrivals * 3 + 9) / 10;
    return true;
  }

 private:
  std::uint64_t next_ = 1;
};

}  // namespace berth::sched
