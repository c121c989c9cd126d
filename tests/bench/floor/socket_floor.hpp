#pragma once
// Socket floors: ping-pong of bare bytes over a Unix pair or TCP loopback, blocking or spinning before it blocks, and a
// raw TCP send of many bytes.

#include "tests/bench/floor/child.hpp"
#include "tests/bench/floor/spin.hpp"

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace berth::bench {

enum class wire : std::uint8_t { local, tcp };

inline std::array<int, 2> connected_sockets(wire over) {
  std::array<int, 2> ends{};
  if (over == wire::local) {
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) != 0) std::exit(3);
    return ends;
  }
  const int listening = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  auto* raw = reinterpret_cast<sockaddr*>(&at);
  if (::bind(listening, raw, size) != 0 || ::listen(listening, 1) != 0) std::exit(3);
  ::getsockname(listening, raw, &size);
  ends[0] = ::socket(AF_INET, SOCK_STREAM, 0);
  if (::connect(ends[0], raw, size) != 0) std::exit(3);
  ends[1] = ::accept(listening, nullptr, nullptr);
  ::close(listening);
  const int yes = 1;
  for (const int end : ends)
    ::setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  return ends;
}

inline void send_exactly(int to, const char* bytes, std::size_t size) {
  while (size != 0) {
    const auto n = ::send(to, bytes, size, MSG_NOSIGNAL);
    if (n <= 0) std::exit(4);
    bytes += n;
    size -= static_cast<std::size_t>(n);
  }
}

/// Blocking, or looking for a while before it blocks.
class socket_end {
 public:
  socket_end(int fd, bool spins) : fd_(fd), spins_(spins) {}

  void read_exactly(char* into, std::size_t size) {
    while (size != 0) {
      ssize_t n = ::recv(fd_, into, size, spins_ ? MSG_DONTWAIT : 0);
      if (n < 0 && errno == EAGAIN) {
        const bool found = habits_.wait(
            [&] {
              n = ::recv(fd_, into, size, MSG_DONTWAIT);
              return n != -1;
            },
            slept_, ~0U);
        slept_ = !found;
        if (!found) {
          pollfd on{fd_, POLLIN, 0};
          ::poll(&on, 1, 1000);
          continue;
        }
      }
      if (n <= 0) std::exit(4);
      into += n;
      size -= static_cast<std::size_t>(n);
    }
  }

  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
  bool spins_;
  bool slept_ = true;
  spinner habits_;
};

/// Two sockets and a child that sends every message of `bytes` back.
class ping_pong {
 public:
  ping_pong(wire over, bool spins, std::size_t bytes)
      : bytes_(bytes), ends_(connected_sockets(over)), mine_(ends_[0], spins) {
    serves_ = std::make_unique<child>([this, spins] {
      ::close(ends_[0]);
      socket_end end(ends_[1], spins);
      std::vector<char> room(bytes_);
      for (;;) {
        end.read_exactly(room.data(), bytes_);
        send_exactly(end.fd(), room.data(), bytes_);
      }
    });
    ::close(ends_[1]);
    room_.resize(bytes_);
  }

  ping_pong(const ping_pong&) = delete;
  ping_pong& operator=(const ping_pong&) = delete;

  ~ping_pong() { ::close(ends_[0]); }

  void call() {
    send_exactly(mine_.fd(), room_.data(), bytes_);
    mine_.read_exactly(room_.data(), bytes_);
  }

  [[nodiscard]] pid_t server_pid() const { return serves_->pid(); }

 private:
  std::size_t bytes_;
  std::array<int, 2> ends_;
  socket_end mine_;
  std::vector<char> room_;
  std::unique_ptr<child> serves_;
};

/// A child that reads `bytes` from a TCP connection into one buffer, then answers with one byte.
class raw_send {
 public:
  explicit raw_send(std::size_t bytes) : bytes_(bytes), ends_(connected_sockets(wire::tcp)) {
    serves_ = std::make_unique<child>([this] {
      ::close(ends_[0]);
      std::vector<char> room(bytes_);
      socket_end end(ends_[1], false);
      for (;;) {
        end.read_exactly(room.data(), bytes_);
        send_exactly(ends_[1], room.data(), 1);
      }
    });
    ::close(ends_[1]);
  }

  raw_send(const raw_send&) = delete;
  raw_send& operator=(const raw_send&) = delete;

  ~raw_send() { ::close(ends_[0]); }

  void send(const char* from) {
    send_exactly(ends_[0], from, bytes_);
    char answer;
    socket_end(ends_[0], false).read_exactly(&answer, 1);
  }

  [[nodiscard]] pid_t server_pid() const { return serves_->pid(); }

 private:
  std::size_t bytes_;
  std::array<int, 2> ends_;
  std::unique_ptr<child> serves_;
};

}  // namespace berth::bench
