#pragma once
// The hello: what both ends of a fresh connection tell each other before the first frame (runtime/wire/link.capnp).

#include <berth/error.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace berth::net {

/// Both ends must speak the same; grows when an old peer would misread frames.
inline constexpr std::uint32_t protocol_version = 2;
/// This build's version, for error texts and `berth status`.
inline constexpr const char* berth_version = "0.1.0";

inline constexpr std::size_t greeting_bytes_max = 4096;
inline constexpr std::size_t greeting_prefix_bytes = 8;

struct hello {
  std::uint32_t protocol = protocol_version;
  std::string version = berth_version;
  std::string program;
  std::uint32_t ring_bytes = 0;
  std::string no_ring_reason;
  friend bool operator==(const hello&, const hello&) = default;
};

struct welcome {
  std::uint32_t protocol = protocol_version;
  std::string version = berth_version;
  std::string program;
  bool ring = false;
  std::string lane_reason;
  std::uint32_t credits = 0;
  error_info refused;  ///< `message` empty: not refused
  friend bool operator==(const welcome&, const welcome&) = default;
};

/// Prefix and message, ready to send.
[[nodiscard]] std::vector<std::byte> encode(const hello& what);
[[nodiscard]] std::vector<std::byte> encode(const welcome& what);

/// Reads the prefix: bytes of the message that follows. Errors: `invalid` (other magic, or too long).
[[nodiscard]] result<std::size_t> greeting_size(std::span<const std::byte> prefix);

/// Errors: `invalid` for what is no such message.
[[nodiscard]] result<hello> decode_hello(std::span<const std::byte> bytes);
[[nodiscard]] result<welcome> decode_welcome(std::span<const std::byte> bytes);

/// Errors: `invalid` naming both versions when the other end speaks another protocol.
[[nodiscard]] result<void> check_protocol(std::uint32_t theirs, const std::string& version);

}  // namespace berth::net
