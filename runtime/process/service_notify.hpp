#pragma once
// Service notify: systemd's readiness protocol, spoken by hand (man 3 sd_notify): one datagram of NAME=value lines to
// the socket that $NOTIFY_SOCKET names.

#include <string>

namespace berth::process {

/// Sends `state` ("READY=1") to `socket_name`: a path, or a name in the abstract namespace that begins with '@'.
/// Does nothing when the name is empty; false when nobody took it.
bool service_notify(const std::string& socket_name, const std::string& state) noexcept;

}  // namespace berth::process
