#pragma once
// Decay: a team's past use counts half as much with every half-life that goes by.
//
// Use is an integer and so is its decay: the factor 2^(-dt / half) is a 62-bit fraction made from square roots, so the
// same events give the same shares on every machine.

#include <chrono>
#include <cstdint>

namespace berth::sched {

/// What a stretch of time does to use: `factor` scales what was there, `gain` times a constant rate is what use at that
/// rate during the stretch has become by its end (its integral, decayed meanwhile). Fractions of 2^62.
class decay {
 public:
  /// `half` must be positive, `dt` not negative. Cost: at most 32 multiplications.
  decay(std::chrono::milliseconds dt, std::chrono::milliseconds half);

  /// Use left of `before` after the stretch, when `rate` was used throughout it: before · 2^(-dt/half) +
  /// rate · half/ln 2 · (1 - 2^(-dt/half)). The result does not depend on how a stretch is cut, up to rounding.
  [[nodiscard]] std::int64_t apply(std::int64_t before, std::int64_t rate) const noexcept;

 private:
  std::uint64_t factor_;
  std::int64_t window_;  ///< half / ln 2 in milliseconds times 2^20
};

}  // namespace berth::sched
