#include "scheduler/futures.hpp"

#include "scheduler/random_source.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace berth::sched {
namespace {

using lane_vector = std::int16_t __attribute__((vector_size(32)));
static_assert(sizeof(lane_vector) == futures::lanes * sizeof(std::int16_t));

constexpr std::int16_t never_fits = std::numeric_limits<std::int16_t>::max();
constexpr std::int32_t cpu_units_max = 32'000;
constexpr std::size_t devices_max = 64;
/// Steps poured between two looks at whether anything can still fit.
constexpr std::size_t steps_per_look = 8;

#define BERTH_INLINE __attribute__((always_inline)) inline

struct pool {
  lane_vector cpu;
  lane_vector milli[devices_max];
  std::size_t devices;
};

BERTH_INLINE void load(lane_vector& into, const std::array<std::int16_t, futures::lanes>& from) {
  into = *reinterpret_cast<const lane_vector*>(from.data());
}

/// One arrival per lane, each wanting (part of) one device: best fit.
BERTH_INLINE void pour_single(pool& in, const futures::step& arrivals) {
  lane_vector cpu;
  lane_vector milli;
  load(cpu, arrivals.cpu);
  load(milli, arrivals.milli);
  const lane_vector has_cpu = in.cpu >= cpu;
  lane_vector best = never_fits - (lane_vector{} + 0);
  for (std::size_t i = 0; i < in.devices; ++i) {
    const lane_vector candidate = in.milli[i] | ((in.milli[i] < milli) & never_fits);
    const lane_vector nearer = candidate < best;
    best = (nearer & candidate) | (~nearer & best);
  }
  lane_vector open = has_cpu & (best != never_fits);
  in.cpu -= cpu & open;
  for (std::size_t i = 0; i < in.devices; ++i) {
    const lane_vector here = open & (in.milli[i] == best);
    in.milli[i] -= milli & here;
    open &= ~here;
  }
}

/// The same where some lanes want several whole devices.
BERTH_INLINE void pour_gangs(pool& in, const futures::step& arrivals) {
  lane_vector cpu;
  lane_vector gpus;
  load(cpu, arrivals.cpu);
  load(gpus, arrivals.gpus);
  lane_vector idle{};
  for (std::size_t i = 0; i < in.devices; ++i)
    idle -= in.milli[i] == 1000;
  const lane_vector open = (gpus > 1) & (in.cpu >= cpu) & (idle >= gpus);
  lane_vector wanted = gpus & open;
  in.cpu -= cpu & open;
  for (std::size_t i = 0; i < in.devices; ++i) {
    const lane_vector here = (wanted > 0) & (in.milli[i] == 1000);
    in.milli[i] &= ~here;
    wanted += here;
  }
}

/// Whether some lane still has both processor and a device for the least demanding work.
BERTH_INLINE bool anything_fits(const pool& in, const futures::scenario& of) {
  lane_vector most{};
  for (std::size_t i = 0; i < in.devices; ++i)
    most |= in.milli[i] >= of.milli_min;
  const lane_vector open = most & (in.cpu >= of.cpu_min);
  std::int16_t any = 0;
  for (std::size_t lane = 0; lane < futures::lanes; ++lane)
    any = static_cast<std::int16_t>(any | open[lane]);
  return any != 0;
}

BERTH_INLINE std::int32_t pour(const futures::scenario& of,
                               std::int32_t cpu_units,
                               std::span<const std::uint16_t> milli) {
  pool in{};
  in.cpu = static_cast<std::int16_t>(std::min(cpu_units, cpu_units_max)) - lane_vector{};
  std::int32_t too_small = 0;
  for (const auto left : milli) {
    if (left < of.milli_min || of.steps.empty()) {
      too_small += left;
      continue;
    }
    in.milli[in.devices++] = static_cast<std::int16_t>(left) - lane_vector{};
  }
  if (in.devices == 0) return too_small * static_cast<std::int32_t>(futures::lanes);
  for (std::size_t at = 0; at < of.steps.size(); ++at) {
    if (at % steps_per_look == 0 && !anything_fits(in, of)) break;
    if (of.has_gang[at] != 0) pour_gangs(in, of.steps[at]);
    pour_single(in, of.steps[at]);
  }
  std::int32_t sum = too_small * static_cast<std::int32_t>(futures::lanes);
  for (std::size_t i = 0; i < in.devices; ++i)
    for (std::size_t lane = 0; lane < futures::lanes; ++lane)
      sum += in.milli[i][lane];
  return sum;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) std::int32_t pour_avx2(const futures::scenario& of,
                                                       std::int32_t cpu_units,
                                                       std::span<const std::uint16_t> milli) {
  return pour(of, cpu_units, milli);
}
#endif

std::int32_t pour_baseline(const futures::scenario& of,
                           std::int32_t cpu_units,
                           std::span<const std::uint16_t> milli) {
  return pour(of, cpu_units, milli);
}

/// `draws` indices, each as often as its weight says: one random offset, then even steps through the weights; shuffled.
std::vector<std::size_t> systematic_draws(const std::vector<std::uint64_t>& weights,
                                          std::size_t draws,
                                          random_source& random) {
  const auto total = std::accumulate(weights.begin(), weights.end(), std::uint64_t{0});
  std::vector<std::size_t> drawn;
  std::uint64_t passed = 0;
  std::size_t index = 0;
  const auto offset = random.below(1U << 16);
  for (std::size_t i = 0; i < draws; ++i) {
    const auto at = static_cast<double>(total) * (static_cast<double>(i) + offset / 65536.0)
                    / static_cast<double>(draws);
    while (index + 1 < weights.size() && static_cast<double>(passed + weights[index]) <= at)
      passed += weights[index++];
    drawn.push_back(index);
  }
  for (std::size_t i = drawn.size(); i > 1; --i)
    std::swap(drawn[i - 1], drawn[random.below(static_cast<std::uint32_t>(i))]);
  return drawn;
}

}  // namespace

futures::futures(const inventory& nodes,
                 std::span<const expected_demand> expected,
                 std::int32_t cpu_unit,
                 std::uint64_t seed) {
  random_source random(seed);
  for (std::size_t model = 0; model < nodes.models().size(); ++model) {
    std::vector<const expected_demand*> admitted;
    std::vector<std::uint64_t> weights;
    for (const auto& one : expected) {
      if (one.each.gpus == 0 || (nodes.model_mask(one.models) >> model & 1) == 0) continue;
      admitted.push_back(&one);
      weights.push_back(one.count);
    }
    scenario made;
    if (!admitted.empty()) {
      made.cpu_min = made.milli_min = never_fits;
      made.steps.resize(length);
      made.has_gang.resize(length);
      const auto drawn = systematic_draws(weights, lanes * length, random);
      for (std::size_t i = 0; i < drawn.size(); ++i) {
        const auto& each = admitted[drawn[i]]->each;
        auto& step = made.steps[i / lanes];
        const auto units = static_cast<std::int16_t>(std::min<std::int64_t>(
            (std::int64_t{each.cpu_milli} + cpu_unit - 1) / cpu_unit, never_fits));
        step.cpu[i % lanes] = units;
        step.gpus[i % lanes] = static_cast<std::int16_t>(each.gpus);
        step.milli[i % lanes] =
            each.gpus > 1 ? never_fits : static_cast<std::int16_t>(each.gpu_milli);
        if (each.gpus > 1) made.has_gang[i / lanes] = 1;
        made.cpu_min = std::min(made.cpu_min, units);
        made.milli_min = std::min(made.milli_min, static_cast<std::int16_t>(each.gpu_milli));
      }
    }
    models_.push_back(std::move(made));
  }
}

std::int32_t futures::left_over(std::uint8_t model,
                                std::int32_t cpu_units,
                                std::span<const std::uint16_t> milli) const {
#if defined(__x86_64__)
  static const bool wide = __builtin_cpu_supports("avx2") != 0;
  if (wide) return pour_avx2(models_[model], cpu_units, milli);
#endif
  return pour_baseline(models_[model], cpu_units, milli);
}

std::int32_t futures::left_over_baseline(std::uint8_t model,
                                         std::int32_t cpu_units,
                                         std::span<const std::uint16_t> milli) const {
  return pour_baseline(models_[model], cpu_units, milli);
}

}  // namespace berth::sched
