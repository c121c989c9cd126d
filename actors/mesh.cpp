#include "actors/mesh.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::actors {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return at;
}

error_info socket_problem(const char* doing) {
  return fail(kind::failed, "io", fmt::format("{} failed: {}", doing, std::strerror(errno)));
}

/// Makes a connected socket CAF's own.
caf::io::scribe_ptr scribe_of(caf::actor_system& system, base::unique_fd socket) {
  int one = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  caf::io::network::nonblocking(socket.get(), true);
  return system.middleman().backend().new_scribe(socket.release());
}

caf::actor protocol_broker(caf::actor_system& system) {
  return system.middleman().named_broker<caf::io::basp_broker>(caf::atom("BASP"));
}

result<base::unique_fd> connect_within(std::uint16_t port, std::chrono::milliseconds patience) {
  base::unique_fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return socket_problem("making a socket");
  auto at = loopback(port);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0)
    return socket;
  if (errno != EINPROGRESS)
    return fail(kind::disconnected, "nobody_there",
                fmt::format("nobody listens on 127.0.0.1:{}", port));
  pollfd ready{socket.get(), POLLOUT, 0};
  if (::poll(&ready, 1, static_cast<int>(patience.count())) <= 0)
    return fail(kind::timed_out, "not_started",
                fmt::format("127.0.0.1:{} did not accept in time", port));
  int problem = 0;
  socklen_t size = sizeof problem;
  ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &problem, &size);
  if (problem != 0)
    return fail(kind::disconnected, "nobody_there",
                fmt::format("nobody listens on 127.0.0.1:{}", port));
  return socket;
}

}  // namespace

system_config::system_config(network how) {
  using std::chrono::milliseconds;
  add_message_types<caf::id_block::berth>();
  add_message_type<node_api>(
      "berth::node_api");  // joins carry it; its type needs the atoms of the block above
  // The default policy polls: milliseconds of processor time each idle second, and slower answers.
  set("scheduler.policy", caf::atom("sharing"));
  set("scheduler.max-threads", std::size_t{4});
  if (how == network::none) return;
  load<caf::io::middleman>();
  // Both ends must have them; without, a peer that hangs is never noticed. Messages stay far below what 3 s can carry.
  set("middleman.heartbeat-interval", caf::timespan(milliseconds(500)));
  set("middleman.connection-timeout", caf::timespan(milliseconds(3000)));
}

result<std::unique_ptr<mesh_port>> mesh_port::open(caf::actor_system& system,
                                                   caf::strong_actor_ptr what,
                                                   std::set<std::string> interface) {
  base::unique_fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto at = loopback(0);
  socklen_t size = sizeof at;
  if (!socket || ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&at), size) != 0
      || ::listen(socket.get(), 16) != 0
      || ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&at), &size) != 0)
    return socket_problem("opening the mesh port");
  return std::unique_ptr<mesh_port>(new mesh_port(system, std::move(what), std::move(interface),
                                                  std::move(socket), ntohs(at.sin_port)));
}

mesh_port::mesh_port(caf::actor_system& system,
                     caf::strong_actor_ptr what,
                     std::set<std::string> interface,
                     base::unique_fd socket,
                     std::uint16_t port)
    : system_(system),
      what_(std::move(what)),
      interface_(std::move(interface)),
      socket_(std::move(socket)),
      wake_(::eventfd(0, EFD_CLOEXEC)),
      port_(port),
      thread_([this] { accept_all(); }) {}

mesh_port::~mesh_port() {
  std::uint64_t one = 1;
  static_cast<void>(::write(wake_.get(), &one, sizeof one));
  thread_.join();
}

void mesh_port::accept_all() {
  auto broker = protocol_broker(system_);
  pollfd ready[2]{{socket_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
  for (;;) {
    if (::poll(ready, 2, -1) < 0) continue;
    if (ready[1].revents != 0) return;
    base::unique_fd client(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client) continue;
    caf::anon_send(broker, caf::publish_atom_v, scribe_of(system_, std::move(client)), port_, what_,
                   interface_);
  }
}

result<caf::strong_actor_ptr> mesh_connect(caf::actor_system& system,
                                           std::uint16_t port,
                                           const std::set<std::string>& interface,
                                           std::chrono::milliseconds patience) {
  auto socket = connect_within(port, patience);
  if (!socket) return std::move(socket).error();
  caf::scoped_actor self(system);
  result<caf::strong_actor_ptr> out =
      fail(kind::disconnected, "no_handshake", "the other side is no head of this release");
  self->request(protocol_broker(system), patience, caf::connect_atom_v,
                scribe_of(system, *std::move(socket)), port)
      .receive(
          [&](const caf::node_id&, caf::strong_actor_ptr& what,
              const std::set<std::string>& spoken) {
            bool speaks =
                what
                && std::includes(spoken.begin(), spoken.end(), interface.begin(), interface.end());
            if (speaks)
              out = std::move(what);
            else
              out = fail(kind::invalid, "other_interface",
                         "the other side speaks another release's interface; use the same release");
          },
          [&](const caf::error& why) {
            if (why == caf::sec::request_timeout)
              out = fail(kind::timed_out, "not_started",
                         "the other side accepted but did not say who it is in time");
            else
              out = fail(kind::disconnected, "no_handshake", system.render(why));
          });
  return out;
}

}  // namespace berth::actors
