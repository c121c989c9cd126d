#pragma once
// Blocking with a bound: whole messages on a socket before it has become a link.

#include "runtime/base/clock.hpp"
#include "runtime/base/unique_fd.hpp"

#include <berth/error.hpp>
#include <cstddef>
#include <span>
#include <vector>

namespace berth::net {

/// Sends all of `bytes`, the descriptors with the first of them. Errors: `disconnected`, `timed_out`.
[[nodiscard]] result<void> send_all(int socket,
                                    std::span<const std::byte> bytes,
                                    std::span<const int> fds,
                                    base::time_point deadline);

/// Reads exactly `into.size()` bytes; descriptors that come along are kept if `fds` is not null, else they are an error.
/// Errors: `disconnected`, `timed_out`, `invalid`.
[[nodiscard]] result<void> receive_all(int socket,
                                       std::span<std::byte> into,
                                       std::vector<base::unique_fd>* fds,
                                       std::size_t fds_max,
                                       base::time_point deadline);

}  // namespace berth::net
