#include "tests/net/stranger.hpp"

#include "runtime/net/blocking.hpp"
#include "runtime/net/pass_fd.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::net::testing {

welcome greet_by_hand(int socket, const hello& words, std::span<const int> fds) {
  const auto bytes = encode(words);
  EXPECT_TRUE(send_all(socket, bytes, fds, in(10s)));
  std::array<std::byte, greeting_prefix_bytes> prefix{};
  EXPECT_TRUE(receive_all(socket, prefix, nullptr, 0, in(10s)));
  const auto size = greeting_size(prefix);
  EXPECT_TRUE(size);
  std::vector<std::byte> body(*size);
  EXPECT_TRUE(receive_all(socket, body, nullptr, 0, in(10s)));
  auto theirs = decode_welcome(body);
  EXPECT_TRUE(theirs);
  return *theirs;
}

bool hung_up_within(int socket, std::chrono::milliseconds limit) {
  const auto deadline = in(limit);
  std::array<char, 4096> room{};
  for (;;) {
    pollfd on{socket, POLLIN, 0};
    if (::poll(&on, 1, base::poll_timeout_ms(deadline, 10'000)) <= 0) return false;
    const auto got = ::recv(socket, room.data(), room.size(), MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) return true;
  }
}

ring_stranger::ring_stranger(server& serves) {
  auto made = make_ring_offer(64 * 1024);
  EXPECT_TRUE(made);
  offer = *std::move(made);
  auto sockets = make_sockets(over::ring);
  accepted one;
  one.socket = std::move(sockets.server);
  serves.adopt(std::move(one));
  socket = std::move(sockets.caller);
  hello words;
  words.ring_bytes = offer.ring_bytes;
  const std::array<int, 3> fds{offer.memory.fd.get(), offer.bell_of_caller.get(),
                               offer.bell_of_server.get()};
  EXPECT_TRUE(greet_by_hand(socket.get(), words, fds).ring);
  out = ring_in(offer.memory.memory.data(), offer.ring_bytes, 0);
}

void ring_stranger::write(std::span<const std::byte> bytes, std::uint64_t published) {
  for (const auto byte : bytes)
    out.bytes[head++ % out.size] = byte;
  head += published - bytes.size();
  out.words->head.store(head);
  ring();
}

void ring_stranger::send(frame_header header, std::span<const std::byte> body) {
  header.size = static_cast<std::uint32_t>(body.size());
  std::vector<std::byte> bytes(frame_bytes(body.size()));
  std::memcpy(bytes.data(), &header, sizeof header);
  if (!body.empty()) std::memcpy(bytes.data() + sizeof header, body.data(), body.size());
  write(bytes, bytes.size());
}

void ring_stranger::announce(std::uint64_t id, std::uint64_t bytes, std::span<const int> fds) {
  frame_header header;
  header.kind = frame_kind::segment;
  header.call = id;
  header.revision = bytes;
  const auto raw = std::as_bytes(std::span(&header, 1));
  static_cast<void>(!send_with_fds(socket.get(), raw, fds));
}

void ring_stranger::ring() {
  const std::uint64_t one = 1;
  EXPECT_EQ(::write(offer.bell_of_server.get(), &one, sizeof one), 8);
}

bool ring_stranger::is_hung_up_on() {
  return hung_up_within(socket.get(), 10s);
}

socket_stranger::socket_stranger(server& serves, over lane) {
  auto sockets = make_sockets(lane);
  accepted one;
  one.socket = std::move(sockets.server);
  one.over_tcp = lane == over::tcp;
  serves.adopt(std::move(one));
  socket = std::move(sockets.caller);
  EXPECT_FALSE(greet_by_hand(socket.get(), {}, {}).ring);
}

void socket_stranger::send(std::span<const std::byte> bytes) {
  // The server may hang up in the middle: then the rest does not matter.
  static_cast<void>(static_cast<bool>(send_all(socket.get(), bytes, {}, in(5s))));
}

bool socket_stranger::is_hung_up_on() {
  return hung_up_within(socket.get(), 10s);
}

}  // namespace berth::net::testing
