// libFuzzer's entry: built with clang and -fsanitize=fuzzer when BERTH_BUILD_FUZZERS is on.
#include "tests/fuzz/fuzz.hpp"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::fuzz_one({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
