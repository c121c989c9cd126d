#pragma once
// A decoder under attack. Each `*_fuzz.cpp` defines `fuzz_one` and `fuzz_seeds`, and is built twice: with clang's
// libFuzzer where it is asked for, and always as an ordinary test that replays the seeds and a bounded number of
// random damages to them (fuzz_loop.cpp), under whatever sanitizer the preset brings.

#include <cstddef>
#include <span>
#include <vector>

namespace fuzz {

/// Feeds one input to the decoder. May accept or refuse; must not crash, hang, or allocate without bound. Aborts when
/// an accepted input does not hold what the decoder promises.
void fuzz_one(std::span<const std::byte> input);

/// Well-formed inputs to start from.
[[nodiscard]] std::vector<std::vector<std::byte>> fuzz_seeds();

}  // namespace fuzz
