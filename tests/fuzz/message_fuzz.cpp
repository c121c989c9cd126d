// Dynamic values as Cap'n Proto messages and as JSON.
#include "runtime/base/ensure.hpp"
#include "runtime/value/message.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/value/everything.hpp"

#include <berth/value.hpp>

namespace fuzz {

void fuzz_one(std::span<const std::byte> input) {
  const auto v = berth::value_from_message(input);
  if (v) {
    (void)berth::print_json(*v);
    berth::base::ensure(
        berth::value_from_message(berth::value_to_message(*v).value()).value() == *v,
        "a decoded value encodes again");
    (void)berth::from_value<everything::all>(*v);
  }
  const auto parsed =
      berth::parse_json({reinterpret_cast<const char*>(input.data()), input.size()});
  if (!parsed) return;
  (void)berth::parse_json(berth::print_json(*parsed)).value();
  (void)berth::from_value<everything::all>(*parsed);
}

std::vector<std::vector<std::byte>> fuzz_seeds() {
  std::vector<std::vector<std::byte>> seeds;
  const auto v = berth::to_value(everything::maker(1).make());
  seeds.push_back(berth::value_to_message(v).value());
  seeds.push_back(
      berth::value_to_message(berth::parse_json(R"({"a": [1, {"b": null}], "c": "text"})").value())
          .value());
  for (const std::string& json :
       {berth::print_json(v), std::string(R"({"text": "x", "f64": 1e5, "bits": [true]})")}) {
    const auto* begin = reinterpret_cast<const std::byte*>(json.data());
    seeds.emplace_back(begin, begin + json.size());
  }
  return seeds;
}

}  // namespace fuzz
