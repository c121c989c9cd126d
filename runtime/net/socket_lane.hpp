#pragma once
// The socket lanes: the same frames over a Unix or TCP stream socket, read without blocking and written in batches.

#include "runtime/net/lane.hpp"

#include <memory>

namespace berth::net {

enum class socket_kind : std::uint8_t { local, tcp };

/// A lane over a connected stream socket, which it makes non-blocking; on TCP it also asks for NODELAY and bounds what
/// lies unsent in the kernel, so that a small frame does not wait behind megabytes of a large one.
/// Errors: `overloaded` when no descriptor is left for its bell.
[[nodiscard]] result<std::unique_ptr<lane>> make_socket_lane(base::unique_fd socket,
                                                             socket_kind what);

}  // namespace berth::net
