#pragma once
// Mesh: how two processes' actors come together. Own sockets under CAF's protocol, so that a connect has a deadline and
// nobody who is not expected gets as far as CAF.

#include "actors/interfaces.hpp"
#include "runtime/base/unique_fd.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

namespace berth::actors {

/// The settings every actor system of berth has.
class system_config : public caf::actor_system_config {
 public:
  enum class network { none, loopback };
  explicit system_config(network how);
};

/// Publishes one actor on loopback; accepts on a thread of its own. A resource.
class mesh_port {
 public:
  [[nodiscard]] static result<std::unique_ptr<mesh_port>> open(caf::actor_system& system,
                                                               caf::strong_actor_ptr what,
                                                               std::set<std::string> interface);
  ~mesh_port();

  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  mesh_port(caf::actor_system& system,
            caf::strong_actor_ptr what,
            std::set<std::string> interface,
            base::unique_fd socket,
            std::uint16_t port);
  void accept_all();

  caf::actor_system& system_;
  caf::strong_actor_ptr what_;
  std::set<std::string> interface_;
  base::unique_fd socket_;
  base::unique_fd wake_;
  std::uint16_t port_;
  std::thread thread_;
};

/// Connects to what another process published. Errors: `disconnected` (nobody there), `timed_out`, `invalid` (another
/// interface is spoken there).
[[nodiscard]] result<caf::strong_actor_ptr> mesh_connect(caf::actor_system& system,
                                                         std::uint16_t port,
                                                         const std::set<std::string>& interface,
                                                         std::chrono::milliseconds patience);

}  // namespace berth::actors
