#include "runtime/net/preamble.hpp"

#include "runtime/net/hello.hpp"

#include <algorithm>
#include <cstring>

namespace berth::net {
namespace {

// Layout: magic 8, protocol 4, length of the target's name 4, name 48, token 32, zeros.
constexpr std::array<char, 8> magic{'B', 'E', 'R', 'T', 'H', 'L', 'N', 'K'};
constexpr std::size_t protocol_at = 8;
constexpr std::size_t length_at = 12;
constexpr std::size_t name_at = 16;
constexpr std::size_t name_bytes = 48;
constexpr std::size_t token_at = name_at + name_bytes;

}  // namespace

result<preamble> encode(const preamble_facts& what) {
  const auto& name = what.to.text;
  if (name.empty() || name.size() >= name_bytes)
    return fail(kind::invalid, "bad_target",
                "a link's target has 1 to 47 bytes, not '" + name + "'");
  preamble bytes{};
  const std::uint32_t protocol = protocol_version;
  const auto length = static_cast<std::uint32_t>(name.size());
  std::memcpy(bytes.data(), magic.data(), magic.size());
  std::memcpy(bytes.data() + protocol_at, &protocol, sizeof protocol);
  std::memcpy(bytes.data() + length_at, &length, sizeof length);
  std::memcpy(bytes.data() + name_at, name.data(), name.size());
  std::memcpy(bytes.data() + token_at, what.secret.data(), what.secret.size());
  return bytes;
}

result<preamble_facts> decode(const preamble& bytes) {
  if (std::memcmp(bytes.data(), magic.data(), magic.size()) != 0)
    return fail(kind::invalid, "bad_preamble", "what was sent is no berth connection");
  std::uint32_t protocol = 0;
  std::uint32_t length = 0;
  std::memcpy(&protocol, bytes.data() + protocol_at, sizeof protocol);
  std::memcpy(&length, bytes.data() + length_at, sizeof length);
  if (auto ok = check_protocol(protocol, "of another version"); !ok) return ok.error();
  if (length == 0 || length >= name_bytes)
    return fail(kind::invalid, "bad_preamble", "the connection names no target");
  preamble_facts facts;
  facts.to.text.assign(reinterpret_cast<const char*>(bytes.data()) + name_at, length);
  std::memcpy(facts.secret.data(), bytes.data() + token_at, facts.secret.size());
  return facts;
}

bool same(const token& a, const token& b) noexcept {
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference |= std::to_integer<unsigned>(a[i] ^ b[i]);
  return difference == 0;
}

}  // namespace berth::net
