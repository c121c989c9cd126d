#include "runtime/net/pass_fd.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <sys/uio.h>

namespace berth::net {
namespace {

constexpr std::size_t fds_per_message = 8;

struct control_room {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * fds_per_message)> bytes{};
};

}  // namespace

long send_with_fds(int socket,
                   std::span<const std::byte> bytes,
                   std::span<const int> fds) noexcept {
  iovec piece{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr what{};
  what.msg_iov = &piece;
  what.msg_iovlen = 1;
  control_room room;
  if (!fds.empty()) {
    if (fds.size() > fds_per_message) return -E2BIG;
    what.msg_control = room.bytes.data();
    what.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* head = CMSG_FIRSTHDR(&what);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(head), fds.data(), fds.size_bytes());
  }
  long sent;
  do
    sent = ::sendmsg(socket, &what, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

long recv_with_fds(int socket,
                   std::span<std::byte> into,
                   std::vector<base::unique_fd>& fds,
                   std::size_t fds_max) {
  iovec piece{into.data(), into.size()};
  control_room room;
  msghdr what{};
  what.msg_iov = &piece;
  what.msg_iovlen = 1;
  what.msg_control = room.bytes.data();
  what.msg_controllen = room.bytes.size();
  long got;
  do
    got = ::recvmsg(socket, &what, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  if (got < 0) return -errno;
  for (cmsghdr* head = CMSG_FIRSTHDR(&what); head != nullptr; head = CMSG_NXTHDR(&what, head)) {
    if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof fd);
      fds.emplace_back(fd);
    }
  }
  const bool lost = (what.msg_flags & MSG_CTRUNC) != 0 || fds.size() > fds_max;
  return lost ? -ENOBUFS : got;
}

}  // namespace berth::net
