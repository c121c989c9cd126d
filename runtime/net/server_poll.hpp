#pragma once
// What the descriptors in a server's epoll set stand for.

#include <cstdint>

namespace berth::net {

enum class source : std::uint8_t { server_bell, link_bell, link_socket, greeting_socket };

[[nodiscard]] constexpr std::uint64_t mark_of(std::uint64_t id, source what) noexcept {
  return id * 4 + static_cast<std::uint64_t>(what);
}

[[nodiscard]] constexpr std::uint64_t id_of(std::uint64_t mark) noexcept {
  return mark / 4;
}

[[nodiscard]] constexpr source source_of(std::uint64_t mark) noexcept {
  return static_cast<source>(mark % 4);
}

}  // namespace berth::net
