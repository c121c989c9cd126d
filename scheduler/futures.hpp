#pragma once
// Futures: what a node would still have idle after the work this cluster has reason to expect.
//
// For every device model there are sixteen fixed scenarios, each a sequence of GPU work drawn from what has arrived so
// far. A scenario is poured into a node until nothing more fits: each arrival takes the fullest device that holds it
// (whole devices: idle ones), or goes elsewhere. The mean of what is left over the scenarios is the expected idle GPU of
// that node state. FGD's one-step view calls a node with eight idle devices and twenty cores healthy; this does not.
//
// The sixteen scenarios run side by side in the lanes of one vector register (AVX2 where there is, chosen at run time).

#include "scheduler/inventory.hpp"
#include "scheduler/policy.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace berth::sched {

class futures {
 public:
  /// Scenarios poured side by side. Measured on the published trace: 32 to 128 gain 0.03 points over 16.
  static constexpr std::size_t lanes = 16;
  /// Arrivals per scenario. A longer one counts on ever smaller work to fill what is left, which comes too late where
  /// most work is shares: of 64 the published default gains 0.04 points at 100 % arrived over 24, a workload of shares
  /// alone loses 1.1, and CPU-only failures on gpushare80 double.
  static constexpr std::size_t length = 24;

  futures() = default;
  /// Draws the scenarios for the models known to `nodes`. `cpu_unit` is the step (milli) processor shares are counted
  /// in. Drawing is systematic: each shape comes as often as its share says, in shuffled order.
  futures(const inventory& nodes,
          std::span<const expected_demand> expected,
          std::int32_t cpu_unit,
          std::uint64_t seed);

  /// Sum over the scenarios of the milli left on devices of `model` (so `lanes` times the expectation), given the
  /// processor units left and the milli left per device; at most 64 devices. Depends on the devices as a multiset.
  [[nodiscard]] std::int32_t left_over(std::uint8_t model,
                                       std::int32_t cpu_units,
                                       std::span<const std::uint16_t> milli) const;
  /// The same without vector instructions beyond the baseline, for comparison.
  [[nodiscard]] std::int32_t left_over_baseline(std::uint8_t model,
                                                std::int32_t cpu_units,
                                                std::span<const std::uint16_t> milli) const;

  struct alignas(32) step {
    std::array<std::int16_t, lanes> cpu{};
    std::array<std::int16_t, lanes> milli{};
    std::array<std::int16_t, lanes> gpus{};
  };

  struct scenario {
    std::vector<step> steps;
    std::vector<std::uint8_t> has_gang;  ///< per step: some lane wants several devices
    std::int16_t cpu_min = 0;
    std::int16_t milli_min = 0;
  };

 private:
  std::vector<scenario> models_;
};

}  // namespace berth::sched
