#pragma once
// The preamble: the first 128 bytes on a connection to a node, before it is known whom it is for.

#include "runtime/net/endpoint.hpp"

#include <array>
#include <berth/error.hpp>
#include <cstddef>
#include <optional>

namespace berth::net {

inline constexpr std::size_t preamble_bytes = 128;
using preamble = std::array<std::byte, preamble_bytes>;

struct preamble_facts {
  target to;
  token secret{};  ///< all zero on a Unix socket
};

/// Errors: `invalid` when the target's name is too long.
[[nodiscard]] result<preamble> encode(const preamble_facts& what);
/// Errors: `invalid` for bytes that are no preamble (another protocol speaks to this port).
[[nodiscard]] result<preamble_facts> decode(const preamble& bytes);

/// Whether two secrets are the same, in a time that does not depend on where they differ.
[[nodiscard]] bool same(const token& a, const token& b) noexcept;

}  // namespace berth::net
