#include "runtime/net/blocking.hpp"

#include "runtime/net/pass_fd.hpp"

#include <cerrno>
#include <cstring>
#include <poll.h>
#include <string>

namespace berth::net {
namespace {

constexpr int poll_bound_ms = 60'000;

result<void> wait_for(int socket, short what, base::time_point deadline) {
  for (;;) {
    pollfd on{socket, what, 0};
    const int ready = ::poll(&on, 1, base::poll_timeout_ms(deadline, poll_bound_ms));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR)
      return fail(kind::disconnected, "peer_gone", "the socket cannot be waited for");
    if (deadline != base::never && base::steady::now() >= deadline)
      return fail(kind::timed_out, "not_started", "the other end did not answer in time");
  }
}

error_info gone(long negative_errno) {
  if (negative_errno == 0)
    return fail(kind::disconnected, "peer_gone", "the other end has closed the connection");
  return fail(
      kind::disconnected, "peer_gone",
      std::string("the connection broke: ")
          + std::strerror(static_cast<int>(-negative_errno)));  // NOLINT(concurrency-mt-unsafe)
}

}  // namespace

result<void> send_all(int socket,
                      std::span<const std::byte> bytes,
                      std::span<const int> fds,
                      base::time_point deadline) {
  while (!bytes.empty()) {
    const long sent = send_with_fds(socket, bytes, fds);
    if (sent == -EAGAIN) {
      if (auto ok = wait_for(socket, POLLOUT, deadline); !ok) return ok;
      continue;
    }
    if (sent < 0) return gone(sent);
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
    fds = {};
  }
  return {};
}

result<void> receive_all(int socket,
                         std::span<std::byte> into,
                         std::vector<base::unique_fd>* fds,
                         std::size_t fds_max,
                         base::time_point deadline) {
  std::vector<base::unique_fd> came;
  while (!into.empty()) {
    const long got = recv_with_fds(socket, into, fds != nullptr ? *fds : came, fds_max);
    if (got == -EAGAIN) {
      if (auto ok = wait_for(socket, POLLIN, deadline); !ok) return ok;
      continue;
    }
    if (got == -ENOBUFS)
      return fail(kind::invalid, "too_many_descriptors", "more descriptors came than announced");
    if (got <= 0) return gone(got);
    into = into.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

}  // namespace berth::net
