#pragma once
// Fragmentation: how much of a node's idle GPU the expected work cannot use.
//
// F(node) = sum over the shapes m of the target workload, weighted by how often they come, of the idle milli m cannot
// use there: all of them when m asks for no GPU, for another model, for more processor than is left, or for more
// devices than have enough left; else those on devices with less than m wants. (Weng et al., USENIX ATC 2023, §3.)
//
// Weights are the integer counts, so F is an exact integer: the published F in milli is F / weight(). The sum is
// separable over devices: with A[c][l] the weight of the shapes that fit processor class c and need at most l milli,
//   F = sum_g left_g * (W - A[c][left_g]) + B[c][idle devices],
// B being what shapes of several devices lose where too few are idle. That makes it a few table reads per device.

#include "scheduler/device_mask.hpp"
#include "scheduler/inventory.hpp"
#include "scheduler/policy.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace berth::sched {

class fragmentation {
 public:
  fragmentation() = default;
  /// Compiles a target workload for the models known to `nodes`. Cost: O(models x shapes^2).
  fragmentation(const inventory& nodes, std::span<const expected_demand> target);

  /// Sum of the counts: what F is to be divided by.
  [[nodiscard]] std::int64_t weight() const noexcept { return weight_; }

  /// F of a node as it is now, times `weight()`.
  [[nodiscard]] std::int64_t of(const inventory& nodes, node_id node) const;

  /// F before placing one replica minus F after it, times `weight()`, for the devices chosen; and for a share the
  /// choice itself. `ranked` maps a difference to the value devices are compared by (larger is better; the lowest
  /// device wins ties). Requires room.
  struct change {
    std::int64_t gained = 0;
    std::uint64_t devices = 0;
  };
  template <class Ranked>
  [[nodiscard]] change best_change(const inventory& nodes,
                                   const need& each,
                                   std::uint64_t usable,
                                   node_id node,
                                   Ranked&& ranked) const;

 private:
  /// The tables of one device model.
  struct tables {
    std::vector<std::int32_t> cpu;  ///< thresholds, ascending; class = how many are <= what is left
    /// Where the search for a processor class starts: classes below are surely reached. By cpu >> cpu_shift.
    std::array<std::uint16_t, 512> cpu_first{};
    int cpu_shift = 0;
    std::array<std::uint16_t, 1001> milli_class{};
    std::size_t milli_classes = 0;
    std::vector<std::int32_t> fits;     ///< A[cpu class][milli class]
    std::vector<std::int64_t> too_few;  ///< B[cpu class][idle devices]
  };

  struct view {
    const std::int32_t* fits;
    const std::int64_t* too_few;
  };

  static constexpr std::size_t device_bound = 65;

  [[nodiscard]] static tables build(const inventory& nodes,
                                    std::span<const expected_demand> target,
                                    std::size_t model);

  [[nodiscard]] static view at(const tables& in, std::int32_t cpu_milli) {
    const auto bin =
        std::min(static_cast<std::size_t>(cpu_milli >> in.cpu_shift), in.cpu_first.size() - 1);
    std::size_t cls = in.cpu_first[bin];
    while (cls < in.cpu.size() && in.cpu[cls] <= cpu_milli)
      ++cls;
    return {in.fits.data() + cls * in.milli_classes, in.too_few.data() + cls * device_bound};
  }

  [[nodiscard]] std::int64_t of_model(std::size_t model,
                                      std::int32_t cpu_milli,
                                      const node_kind& kind,
                                      std::span<const std::uint16_t> milli) const;
  [[nodiscard]] std::int64_t of_mixed(const node_kind& kind,
                                      std::int32_t cpu_milli,
                                      std::span<const std::uint16_t> milli) const;
  template <class Ranked>
  [[nodiscard]] change best_mixed(const inventory& nodes,
                                  const need& each,
                                  std::uint64_t usable,
                                  node_id node,
                                  Ranked&& ranked) const;

  std::vector<tables> models_;
  std::int64_t weight_ = 0;
};

template <class Ranked>
fragmentation::change fragmentation::best_change(const inventory& nodes,
                                                 const need& each,
                                                 std::uint64_t usable,
                                                 node_id node,
                                                 Ranked&& ranked) const {
  const auto& row = nodes.row(node);
  if (row.devices == 0) return {};
  const auto& kind = nodes.kind(node);
  if (kind.mixed) return best_mixed(nodes, each, usable, node, ranked);
  const auto& in = models_[kind.model[0]];
  const auto now = at(in, row.cpu_milli);
  const auto then = at(in, row.cpu_milli - each.cpu_milli);
  const std::uint16_t* milli = nodes.milli(node).data();
  std::int64_t before = 0;
  std::int64_t after = 0;
  std::size_t idle = 0;
  for (std::size_t i = 0; i < row.devices; ++i) {
    const auto cls = in.milli_class[milli[i]];
    before += static_cast<std::int64_t>(milli[i]) * now.fits[cls];
    after += static_cast<std::int64_t>(milli[i]) * then.fits[cls];
    idle += milli[i] == 1000 ? 1 : 0;
  }
  // Without the idle milli of the node, which cancel except for what is taken.
  const std::int64_t common = now.too_few[idle] - before + weight_ * each.milli() + after;
  if (each.gpus == 0) return {common - then.too_few[idle], 0};
  if (each.gpu_milli == 1000)
    return {common - then.too_few[idle - each.gpus]
                - 1000LL * each.gpus * then.fits[in.milli_class[1000]],
            lowest_devices(usable, each.gpus)};
  change best;
  std::int64_t best_rank = 0;
  std::uint32_t tried = 1001;
  for (; usable != 0; usable &= usable - 1) {
    const auto device = static_cast<std::size_t>(__builtin_ctzll(usable));
    const std::uint32_t left = milli[device];
    if (left == tried) continue;
    tried = left;
    const auto rest = left - each.gpu_milli;
    const std::int64_t gained = common - then.too_few[idle - (left == 1000 ? 1 : 0)]
                                - static_cast<std::int64_t>(left) * then.fits[in.milli_class[left]]
                                + static_cast<std::int64_t>(rest) * then.fits[in.milli_class[rest]];
    const auto rank = static_cast<std::int64_t>(ranked(gained));
    if (best.devices != 0 && rank <= best_rank) continue;
    best = {gained, usable & ~(usable - 1)};
    best_rank = rank;
  }
  return best;
}

template <class Ranked>
fragmentation::change fragmentation::best_mixed(const inventory& nodes,
                                                const need& each,
                                                std::uint64_t usable,
                                                node_id node,
                                                Ranked&& ranked) const {
  const auto& kind = nodes.kind(node);
  const auto cpu = nodes.row(node).cpu_milli;
  const auto milli = nodes.milli(node);
  const auto before = of_mixed(kind, cpu, milli);
  const auto gain_of = [&](std::uint64_t devices) {
    std::vector<std::uint16_t> rest(milli.begin(), milli.end());
    for (; devices != 0; devices &= devices - 1) {
      auto& one = rest[static_cast<std::size_t>(__builtin_ctzll(devices))];
      one = static_cast<std::uint16_t>(one - each.gpu_milli);
    }
    return before - of_mixed(kind, cpu - each.cpu_milli, rest);
  };
  if (each.gpus == 0) return {gain_of(0), 0};
  if (each.gpus > 1) {
    const auto chosen = lowest_devices(usable, each.gpus);
    return {gain_of(chosen), chosen};
  }
  change best;
  for (; usable != 0; usable &= usable - 1) {
    const change one{gain_of(usable & ~(usable - 1)), usable & ~(usable - 1)};
    if (best.devices == 0 || ranked(one.gained) > ranked(best.gained)) best = one;
  }
  return best;
}

}  // namespace berth::sched
