// CAF 0.17, remote request over loopback TCP, scheduler policy "sharing": two numbers in, one out.
#include "tests/bench/peers/peer.hpp"

#include <caf/all.hpp>
#include <caf/io/all.hpp>

namespace {

struct config : caf::actor_system_config {
  config() {
    load<caf::io::middleman>();
    set("scheduler.policy", caf::atom("sharing"));
  }
};

caf::behavior adder() {
  return {[](int a, int b) { return a + b; }};
}

void serve(int port_pipe) {
  config cfg;
  caf::actor_system system{cfg};
  auto port = system.middleman().publish(system.spawn(adder), 0, "127.0.0.1");
  berth::bench::announce(port_pipe, port ? *port : 0);
  ::pause();
}

}  // namespace

int main() {
  berth::bench::peer_server server(serve);
  if (server.port() == 0) return 3;
  config cfg;
  caf::actor_system system{cfg};
  auto remote = system.middleman().remote_actor("127.0.0.1", server.port());
  if (!remote) return 3;
  {
    caf::scoped_actor self{system};
    berth::bench::measure_peer("caf sharing, TCP", 5000, [&](int i) {
      self->request(*remote, caf::infinite, i, 2)
          .receive(
              [i](int sum) {
                if (sum != i + 2) std::exit(4);
              },
              [](caf::error&) { std::exit(4); });
    });
  }
  std::fflush(stdout);
  ::_exit(0);  // ~actor_system waits for actors that a remote node has seen
}
