#include "scheduler/argmax.hpp"

#include <algorithm>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace berth::sched {

best_score first_largest_scalar(const std::uint8_t* scores,
                                const std::uint8_t* allowed,
                                std::size_t count) {
  best_score best;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint8_t value = allowed == nullptr ? scores[i] : scores[i] & allowed[i];
    if (value > best.value) best = {i, value};
  }
  return best;
}

#if defined(__x86_64__)
namespace {

/// Bytes looked at between two comparisons with the best so far; the winner's block is searched again for its index.
constexpr std::size_t block = 1024;

template <bool Masked>
__attribute__((target("avx2"))) inline __m256i load(const std::uint8_t* scores,
                                                    const std::uint8_t* allowed,
                                                    std::size_t at) {
  const auto value = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(scores + at));
  if constexpr (!Masked) return value;
  return _mm256_and_si256(value,
                          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(allowed + at)));
}

__attribute__((target("avx2"))) inline std::uint8_t largest_lane(__m256i lanes) {
  auto half = _mm_max_epu8(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
  // The smallest of the complements, eight 16-bit lanes at a time: phminposuw after folding bytes to words.
  half = _mm_xor_si128(half, _mm_set1_epi8(-1));
  half = _mm_min_epu8(half, _mm_srli_epi16(half, 8));
  half = _mm_minpos_epu16(_mm_and_si128(half, _mm_set1_epi16(0xFF)));
  return static_cast<std::uint8_t>(~_mm_cvtsi128_si32(half));
}

template <bool Masked>
__attribute__((target("avx2"))) best_score first_largest_avx2(const std::uint8_t* scores,
                                                              const std::uint8_t* allowed,
                                                              std::size_t count) {
  best_score best;
  std::size_t best_block = 0;
  for (std::size_t start = 0; start < count; start += block) {
    const std::size_t end = std::min(start + block, count);
    auto lanes = _mm256_setzero_si256();
    for (std::size_t at = start; at < end; at += 32)
      lanes = _mm256_max_epu8(lanes, load<Masked>(scores, allowed, at));
    const auto value = largest_lane(lanes);
    if (value > best.value) {
      best.value = value;
      best_block = start;
    }
  }
  if (best.value == 0) return best;
  const auto wanted = _mm256_set1_epi8(static_cast<char>(best.value));
  for (std::size_t at = best_block;; at += 32) {
    const auto same = static_cast<unsigned>(
        _mm256_movemask_epi8(_mm256_cmpeq_epi8(load<Masked>(scores, allowed, at), wanted)));
    if (same != 0) {
      best.index = at + static_cast<std::size_t>(__builtin_ctz(same));
      return best;
    }
  }
}

}  // namespace

best_score first_largest(const std::uint8_t* scores,
                         const std::uint8_t* allowed,
                         std::size_t count) {
  static const bool wide = __builtin_cpu_supports("avx2") != 0;
  if (!wide) return first_largest_scalar(scores, allowed, count);
  return allowed == nullptr ? first_largest_avx2<false>(scores, allowed, count)
                            : first_largest_avx2<true>(scores, allowed, count);
}
#else
best_score first_largest(const std::uint8_t* scores,
                         const std::uint8_t* allowed,
                         std::size_t count) {
  return first_largest_scalar(scores, allowed, count);
}
#endif

}  // namespace berth::sched
