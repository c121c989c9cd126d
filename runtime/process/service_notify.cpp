#include "runtime/process/service_notify.hpp"

#include "runtime/base/unique_fd.hpp"

#include <cstddef>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>

namespace berth::process {

bool service_notify(const std::string& socket_name, const std::string& state) noexcept {
  sockaddr_un to{};
  if (socket_name.empty() || socket_name.size() >= sizeof to.sun_path) return false;
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, socket_name.data(), socket_name.size());
  if (to.sun_path[0] == '@') to.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_name.size());
  const base::unique_fd out(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return ::sendto(out.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                  reinterpret_cast<const sockaddr*>(&to), length)
         == static_cast<ssize_t>(state.size());
}

}  // namespace berth::process
