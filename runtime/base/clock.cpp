#include "runtime/base/clock.hpp"

#include <algorithm>

namespace berth::base {
namespace {

std::uint64_t steady_ns() noexcept {
  return static_cast<std::uint64_t>(steady::now().time_since_epoch().count());
}

// Counts ticks over two milliseconds of the steady clock; an error of a percent does not matter to a spin budget.
std::uint64_t measure_ticks_per_us() noexcept {
  const auto t0 = steady_ns();
  const auto c0 = ticks();
  while (steady_ns() - t0 < 2'000'000) {
  }
  const auto c1 = ticks();
  const auto t1 = steady_ns();
  return std::max<std::uint64_t>(1, (c1 - c0) * 1000 / (t1 - t0));
}

}  // namespace

std::uint64_t ticks_per_us() noexcept {
  static const std::uint64_t measured = measure_ticks_per_us();
  return measured;
}

time_point after(std::chrono::nanoseconds span) noexcept {
  const auto now = steady::now();
  return span >= never - now ? never : now + span;
}

int poll_timeout_ms(time_point deadline, int bound_ms) noexcept {
  if (deadline == never) return bound_ms;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - steady::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, bound_ms));
}

}  // namespace berth::base
