#include "tools/simulate/curve.hpp"

#include <array>
#include <fmt/format.h>
#include <iterator>
#include <openssl/evp.h>

namespace berth::tools {

std::string curve_sha256_16(const sched::replay_report& of) {
  std::string text;
  for (const auto& event : of.events) {
    if (!text.empty()) text += '\n';
    fmt::format_to(std::back_inserter(text), "{} {}", event.arrived_milli, event.allocated_milli);
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
  std::string hex;
  for (std::size_t i = 0; i < 8; ++i)
    fmt::format_to(std::back_inserter(hex), "{:02x}", digest[i]);
  return hex;
}

}  // namespace berth::tools
