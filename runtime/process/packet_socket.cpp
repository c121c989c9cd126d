#include "runtime/process/packet_socket.hpp"

#include <cerrno>
#include <cstring>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::process {
namespace {

using clock = std::chrono::steady_clock;

error_info broken(const char* doing) {
  const bool gone = errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN;
  return fail(gone ? kind::disconnected : kind::failed, gone ? "peer_gone" : "socket",
              std::string(doing) + ": " + std::strerror(errno));
}

// Waits for `events`; false when `patience` passed. A negative patience has no end.
bool wait_for(int socket, short events, std::chrono::milliseconds patience) {
  const auto deadline = clock::now() + patience;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock::now()).count();
    pollfd one{socket, events, 0};
    const int limit = patience.count() < 0 ? -1 : static_cast<int>(left > 0 ? left : 0);
    const int rc = ::poll(&one, 1, limit);
    if (rc > 0) return true;
    if (rc == 0 || errno != EINTR) return false;
  }
}

struct alignas(cmsghdr) control_space {
  char bytes[CMSG_SPACE(sizeof(int) * packet_descriptors_max)] = {};
};

void attach(msghdr& message, control_space& space, std::span<const int> descriptors) {
  if (descriptors.empty()) return;
  message.msg_control = space.bytes;
  message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(descriptors.size_bytes());
  std::memcpy(CMSG_DATA(head), descriptors.data(), descriptors.size_bytes());
}

std::vector<base::unique_fd> detach(msghdr& message) {
  std::vector<base::unique_fd> all;
  for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr;
       head = CMSG_NXTHDR(&message, head)) {
    if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
    const auto count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t n = 0; n < count; ++n) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(head) + n * sizeof(int), sizeof fd);
      all.emplace_back(fd);
    }
  }
  return all;
}

}  // namespace

result<packet_pair> make_packet_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return fail(kind::overloaded, "no_descriptors",
                std::string("making a socket pair: ") + std::strerror(errno));
  return packet_pair{base::unique_fd(ends[0]), base::unique_fd(ends[1])};
}

result<void> send_packet(int socket,
                         std::span<const std::byte> bytes,
                         std::span<const int> descriptors,
                         std::chrono::milliseconds patience) {
  if (bytes.empty() || bytes.size() > packet_bytes_max
      || descriptors.size() > packet_descriptors_max)
    return fail(kind::invalid, "packet_too_large",
                "a control message of " + std::to_string(bytes.size()) + " bytes and "
                    + std::to_string(descriptors.size()) + " descriptors; at most "
                    + std::to_string(packet_bytes_max) + " and "
                    + std::to_string(packet_descriptors_max));
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  control_space space;
  attach(message, space, descriptors);
  const auto deadline = clock::now() + patience;
  while (::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return broken("sending a control message");
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock::now());
    if (left.count() <= 0 || !wait_for(socket, POLLOUT, left))
      return fail(kind::timed_out, "peer_stuck", "the other process takes no control messages");
  }
  return {};
}

result<std::optional<packet>> receive_packet(int socket, std::chrono::milliseconds patience) {
  if (!wait_for(socket, POLLIN, patience)) return std::optional<packet>();
  const auto length = ::recv(socket, nullptr, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return std::optional<packet>();
  if (length < 0) return broken("receiving a control message");
  if (length == 0)
    return fail(kind::disconnected, "peer_gone", "the other process closed its control socket");
  if (static_cast<std::size_t>(length) > packet_bytes_max)
    return fail(kind::invalid, "packet_too_large",
                "a control message of " + std::to_string(length) + " bytes");
  packet one;
  one.bytes.resize(static_cast<std::size_t>(length));
  iovec part{one.bytes.data(), one.bytes.size()};
  control_space space;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = space.bytes;
  message.msg_controllen = sizeof space.bytes;
  const auto got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got < 0) return broken("receiving a control message");
  one.descriptors = detach(message);
  if ((message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0)
    return fail(kind::invalid, "descriptors_lost",
                "a control message lost descriptors on the way: this process has too many open");
  return std::optional<packet>(std::move(one));
}

}  // namespace berth::process
