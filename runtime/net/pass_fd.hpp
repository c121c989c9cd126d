#pragma once
// Descriptors over Unix sockets, one message at a time, without blocking.

#include "runtime/base/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace berth::net {

/// Sends `bytes` and `fds` with one non-blocking sendmsg. Returns the bytes taken, or -errno.
[[nodiscard]] long send_with_fds(int socket,
                                 std::span<const std::byte> bytes,
                                 std::span<const int> fds) noexcept;

/// One non-blocking recvmsg into `into`; descriptors are appended to `fds` (close-on-exec). Returns the bytes read, 0 at
/// end of file, or -errno; -ENOBUFS when descriptors were lost (more than `fds_max` came, or this process may open no more).
[[nodiscard]] long recv_with_fds(int socket,
                                 std::span<std::byte> into,
                                 std::vector<base::unique_fd>& fds,
                                 std::size_t fds_max);

}  // namespace berth::net
