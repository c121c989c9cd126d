#pragma once
// Packet socket: a local socket that keeps message boundaries and carries descriptors.
//
// Control messages between supervisor, head and workers travel over it, one message a packet. End of file is the other
// side's death. The first message that is too large or lost descriptors on the way is an error, not a truncation.

#include "runtime/base/unique_fd.hpp"

#include <berth/error.hpp>
#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace berth::process {

/// Larger messages are refused: a packet lies in the kernel as a whole.
constexpr std::size_t packet_bytes_max = 160 * 1024;
constexpr std::size_t packet_descriptors_max = 64;

struct packet {
  std::vector<std::byte> bytes;
  std::vector<base::unique_fd> descriptors;
};

/// A connected pair, closed on exec, with room for one largest packet. Errors: `overloaded`, `failed`.
struct packet_pair {
  base::unique_fd near;
  base::unique_fd far;
};

result<packet_pair> make_packet_pair();

/// Sends one message; waits up to `patience` for room. Descriptors stay owned by the caller.
/// Errors: `invalid` when too large, `disconnected`, `timed_out`.
result<void> send_packet(int socket,
                         std::span<const std::byte> bytes,
                         std::span<const int> descriptors = {},
                         std::chrono::milliseconds patience = std::chrono::seconds(5));

/// Receives one message; nothing when none came within `patience` (negative: waits without end).
/// Errors: `disconnected` at end of file, `invalid` when descriptors were lost or the message is too large.
result<std::optional<packet>> receive_packet(int socket, std::chrono::milliseconds patience);

}  // namespace berth::process
