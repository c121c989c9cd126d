// Hot blocks: the typed and the dynamic reader.
#include "runtime/base/ensure.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/value/everything.hpp"

#include <berth/value.hpp>

namespace fuzz {
namespace {

using everything::all;

/// A copy where the decoder may view numbers in place.
berth::bytes aligned_copy(std::span<const std::byte> input) {
  return {input.begin(), input.end()};
}

}  // namespace

void fuzz_one(std::span<const std::byte> input) {
  const auto block = aligned_copy(input);
  const auto typed = berth::codec::read<all>({block, {}});
  const auto dynamic = berth::decode_hot(berth::shape_of<all>(), {block, {}});
  if (!typed) return;
  berth::base::ensure(dynamic.has_value(), "what the typed reader accepts the dynamic one accepts");
  const auto again = berth::codec::encode_inline(*typed);
  const auto* begin = reinterpret_cast<const std::byte*>(again.data());
  const berth::bytes rewritten(begin, begin + again.size());
  berth::base::ensure(berth::codec::read<all>({rewritten, {}}).has_value(),
                      "what was read can be written and read");
}

std::vector<std::vector<std::byte>> fuzz_seeds() {
  std::vector<std::vector<std::byte>> seeds;
  for (std::uint64_t i = 0; i < 4; ++i) {
    const auto block = berth::codec::encode_inline(everything::maker(i).make());
    const auto* begin = reinterpret_cast<const std::byte*>(block.data());
    seeds.emplace_back(begin, begin + block.size());
  }
  return seeds;
}

}  // namespace fuzz
