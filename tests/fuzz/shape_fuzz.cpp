// Encoded signatures, and blocks read by whatever shape a stranger made up.
#include "runtime/base/ensure.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/value/everything.hpp"

#include <berth/value.hpp>

namespace fuzz {

void fuzz_one(std::span<const std::byte> input) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const auto sig = berth::decode_signature(text);
  (void)berth::decode_signatures(text);
  if (!sig) return;
  (void)to_string(*sig);
  berth::base::ensure(berth::decode_signature(encode(*sig)).value() == *sig,
                      "a decoded signature encodes again");
  // No arguments at all: every parameter takes its default, hostile presets included.
  const auto hot = berth::encode_hot(*sig, {});
  if (hot) (void)berth::decode_hot(*sig, hot->view());
}

std::vector<std::vector<std::byte>> fuzz_seeds() {
  std::vector<std::vector<std::byte>> seeds;
  const auto add = [&](const berth::signature& s) {
    const std::string text = encode(s);
    const auto* begin = reinterpret_cast<const std::byte*>(text.data());
    seeds.emplace_back(begin, begin + text.size());
  };
  add(berth::signature_of<int(everything::digit, std::string)>());
  add(berth::signature_of<everything::all(std::vector<everything::all>, std::optional<int>)>());
  add(berth::signature_of<berth::stream<std::string>(berth::stream<std::map<int, double>>)>(
      {}, "method"));
  return seeds;
}

}  // namespace fuzz
