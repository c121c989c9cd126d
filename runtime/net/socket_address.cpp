#include "runtime/net/socket_address.hpp"

#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>
#include <string>
#include <sys/un.h>

namespace berth::net {

result<socket_address> socket_address::of(const address& where) {
  socket_address made;
  if (const auto* local = std::get_if<unix_address>(&where)) {
    auto& raw = reinterpret_cast<sockaddr_un&>(made.storage_);
    if (local->path.empty() || local->path.size() >= sizeof raw.sun_path)
      return fail(kind::invalid, "path_too_long",
                  "a socket's path has at most 107 bytes, but '" + local->path + "' has "
                      + std::to_string(local->path.size())
                      + ": use a shorter runtime folder (BERTH_RUNTIME_DIR)");
    raw.sun_family = AF_UNIX;
    std::memcpy(raw.sun_path, local->path.c_str(), local->path.size() + 1);
    made.size_ = sizeof raw;
    return made;
  }
  const auto& tcp = std::get<tcp_address>(where);
  in_addr host{};
  const auto name = tcp.host == "localhost" ? std::string("127.0.0.1") : tcp.host;
  const bool loopback =
      ::inet_pton(AF_INET, name.c_str(), &host) == 1 && (ntohl(host.s_addr) >> 24U) == 127;
  if (!loopback)
    return fail(
        kind::invalid, "needs_tls",
        "only loopback addresses (127.0.0.0/8) are served without TLS, and this version has "
        "no TLS yet; '"
            + tcp.host + "' is refused");
  auto& raw = reinterpret_cast<sockaddr_in&>(made.storage_);
  raw.sin_family = AF_INET;
  raw.sin_port = htons(tcp.port);
  raw.sin_addr = host;
  made.size_ = sizeof raw;
  return made;
}

}  // namespace berth::net
