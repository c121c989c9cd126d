#pragma once
// A socket address as the kernel takes it, checked: Unix paths fit, TCP stays on the loopback interface.

#include "runtime/net/endpoint.hpp"

#include <berth/error.hpp>
#include <sys/socket.h>

namespace berth::net {

/// A value.
class socket_address {
 public:
  /// Errors: `invalid` for a path of 108 bytes or more, and for a host that is not a loopback address (TLS is what a
  /// remote address would need).
  [[nodiscard]] static result<socket_address> of(const address& where);

  [[nodiscard]] int family() const noexcept { return storage_.ss_family; }

  [[nodiscard]] const sockaddr* raw() const noexcept {
    return reinterpret_cast<const sockaddr*>(&storage_);
  }

  [[nodiscard]] socklen_t size() const noexcept { return size_; }

 private:
  sockaddr_storage storage_{};
  socklen_t size_ = 0;
};

}  // namespace berth::net
