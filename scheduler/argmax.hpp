#pragma once
// The one loop a decision is made of: the first largest byte of a row of scores.
//
// Uses AVX2 where the processor has it (asked once, at run time), else a scalar loop with the same answer.

#include <cstddef>
#include <cstdint>

namespace berth::sched {

/// Rows are padded with zeros to a multiple of this many bytes.
inline constexpr std::size_t score_row_align = 32;

struct best_score {
  std::size_t index = 0;
  std::uint8_t value = 0;  ///< 0: nothing is feasible
};

/// The first largest of `count` bytes at `scores`; `allowed` (when given) is and-ed over them first. Both are readable
/// up to the next multiple of `score_row_align`, scores there are 0. Cost: about a cycle per 16 bytes with AVX2.
[[nodiscard]] best_score first_largest(const std::uint8_t* scores,
                                       const std::uint8_t* allowed,
                                       std::size_t count);

/// The same by the scalar loop, for processors without AVX2 and for comparison.
[[nodiscard]] best_score first_largest_scalar(const std::uint8_t* scores,
                                              const std::uint8_t* allowed,
                                              std::size_t count);

}  // namespace berth::sched
