// The ordinary test: seeds, every truncation of them, random damage. FUZZ_ROUNDS and BERTH_SEED override the defaults.
#include "tests/fuzz/fuzz.hpp"

#include <cstdio>
#include <cstdlib>
#include <random>

namespace {

constexpr std::uint64_t rounds_default = 20000;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* given = std::getenv(name);
  return given ? std::strtoull(given, nullptr, 10) : otherwise;
}

/// Flips, overwrites, repeats, drops or inserts a few bytes.
void damage(std::vector<std::byte>& input, std::mt19937_64& random) {
  for (std::uint64_t n = 1 + random() % 4; n > 0 && !input.empty(); --n) {
    const std::size_t at = random() % input.size();
    switch (random() % 6) {
      case 0:
        input[at] ^= static_cast<std::byte>(1U << random() % 8);
        break;
      case 1:
        input[at] = static_cast<std::byte>(random());
        break;
      case 2:
        input[at] = static_cast<std::byte>(random() % 2 == 0 ? 0xFF : 0x00);
        break;
      case 3:
        input.erase(input.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      case 4:
        input.insert(input.begin() + static_cast<std::ptrdiff_t>(at),
                     input[random() % input.size()]);
        break;
      default:
        input.resize(random() % (2 * input.size() + 1));
        break;
    }
  }
}

}  // namespace

int main() {
  const std::uint64_t seed = from_environment("BERTH_SEED", std::random_device{}());
  const std::uint64_t rounds = from_environment("FUZZ_ROUNDS", rounds_default);
  std::printf("BERTH_SEED=%llu FUZZ_ROUNDS=%llu\n", static_cast<unsigned long long>(seed),
              static_cast<unsigned long long>(rounds));
  std::fflush(stdout);
  std::mt19937_64 random(seed);
  const auto seeds = fuzz::fuzz_seeds();
  for (const auto& one : seeds)
    for (std::size_t n = 0; n <= one.size(); ++n)
      fuzz::fuzz_one(std::span(one).first(n));
  for (std::uint64_t i = 0; i < rounds; ++i) {
    auto input = seeds[random() % seeds.size()];
    damage(input, random);
    fuzz::fuzz_one(input);
  }
  return 0;
}
