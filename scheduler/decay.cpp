#include "scheduler/decay.hpp"

#include "runtime/base/ensure.hpp"

#include <array>

namespace berth::sched {
namespace {

__extension__ using wide = unsigned __int128;
__extension__ using wide_signed = __int128;

constexpr unsigned fraction_bits = 62;
constexpr std::uint64_t one = 1ULL << fraction_bits;
constexpr unsigned steps = 32;
constexpr unsigned window_bits = 20;
constexpr std::int64_t inverse_ln2 = 1512775;  // 2^20 / ln 2, rounded

constexpr std::uint64_t square_root(wide of) {
  std::uint64_t root = 0;
  for (int bit = 63; bit >= 0; --bit) {
    const std::uint64_t tried = root | (1ULL << bit);
    if (static_cast<wide>(tried) * tried <= of) root = tried;
  }
  return root;
}

/// roots[k] = 2^(-2^-(k+1)): a half, halved in the exponent again and again.
constexpr auto roots = [] {
  std::array<std::uint64_t, steps> made{};
  std::uint64_t last = one / 2;
  for (auto& root : made) {
    last = square_root(static_cast<wide>(last) << fraction_bits);
    root = last;
  }
  return made;
}();

}  // namespace

decay::decay(std::chrono::milliseconds dt, std::chrono::milliseconds half) : factor_(one) {
  base::ensure(half.count() > 0 && dt.count() >= 0, "decay over a positive half-life, forwards");
  const auto whole = dt.count() / half.count();
  const auto rest = static_cast<wide>(dt.count() % half.count());
  auto exponent = static_cast<std::uint32_t>((rest << steps) / static_cast<wide>(half.count()));
  for (unsigned k = 0; k < steps; ++k, exponent <<= 1)
    if ((exponent & 0x80000000U) != 0)
      factor_ =
          static_cast<std::uint64_t>((static_cast<wide>(factor_) * roots[k]) >> fraction_bits);
  factor_ = whole >= 63 ? 0 : factor_ >> whole;
  window_ = half.count() * inverse_ln2;
}

std::int64_t decay::apply(std::int64_t before, std::int64_t rate) const noexcept {
  const auto kept =
      (static_cast<wide_signed>(before) * static_cast<wide_signed>(factor_)) >> fraction_bits;
  // rate · window first: both are integers, and the fraction is applied once to their product.
  const auto whole = (static_cast<wide_signed>(rate) * window_) >> window_bits;
  const auto gained = (whole * static_cast<wide_signed>(one - factor_)) >> fraction_bits;
  return static_cast<std::int64_t>(kept + gained);
}

}  // namespace berth::sched
