#pragma once
// Peers that keep no rule: they speak hello properly and then do with rings, sockets and descriptors what they like.

#include "runtime/net/hello.hpp"
#include "runtime/net/ring.hpp"
#include "runtime/net/ring_lane.hpp"
#include "tests/net/pair.hpp"

#include <cstring>
#include <memory>
#include <span>
#include <vector>

namespace berth::net::testing {

/// A caller that opened a ring lane by hand: it holds the ring's memory, the bells and the socket.
class ring_stranger {
 public:
  explicit ring_stranger(server& serves);

  /// Puts raw bytes where the next frame belongs, publishes `published` bytes, rings the bell.
  void write(std::span<const std::byte> bytes, std::uint64_t published);
  /// A proper frame, of whatever content.
  void send(frame_header header, std::span<const std::byte> body = {});
  /// An announcement beside the ring.
  void announce(std::uint64_t id, std::uint64_t bytes, std::span<const int> fds);
  void ring();
  /// Whether the server closes the connection within ten seconds.
  [[nodiscard]] bool is_hung_up_on();

  ring_offer offer;
  base::unique_fd socket;
  ring_place out;  ///< towards the server
  std::uint64_t head = 0;
};

/// A caller on a socket lane by hand.
class socket_stranger {
 public:
  socket_stranger(server& serves, over lane);
  void send(std::span<const std::byte> bytes);
  [[nodiscard]] bool is_hung_up_on();

  base::unique_fd socket;
};

/// Speaks the caller's hello and reads the welcome.
welcome greet_by_hand(int socket, const hello& words, std::span<const int> fds);

bool hung_up_within(int socket, std::chrono::milliseconds limit);

}  // namespace berth::net::testing
