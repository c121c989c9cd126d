// Cap'n Proto RPC over a Unix socket: two numbers in, one out.
#include "call.capnp.h"

#include "tests/bench/peers/peer.hpp"

#include <capnp/ez-rpc.h>

#include <filesystem>
#include <string>

namespace {

class adder final : public Adder::Server {
  kj::Promise<void> add(AddContext context) override {
    context.getResults().setSum(context.getParams().getA() + context.getParams().getB());
    return kj::READY_NOW;
  }
};

}  // namespace

int main() {
  const std::string path = "unix:"
                           + (std::filesystem::temp_directory_path()
                              / ("berth-bench-capnp-" + std::to_string(::getpid())))
                                 .string();
  {
    berth::bench::peer_server server([&](int port_pipe) {
      capnp::EzRpcServer rpc(kj::heap<adder>(), path.c_str());
      rpc.getPort().wait(rpc.getWaitScope());  // it listens from here on
      berth::bench::announce(port_pipe, 1);
      kj::NEVER_DONE.wait(rpc.getWaitScope());
    });
    capnp::EzRpcClient client(path.c_str());
    auto remote = client.getMain<Adder>();
    berth::bench::measure_peer("Cap'n Proto RPC, Unix socket", 5000, [&](int i) {
      auto request = remote.addRequest();
      request.setA(i);
      request.setB(2);
      if (request.send().wait(client.getWaitScope()).getSum() != i + 2) std::exit(4);
    });
  }
  ::unlink(path.c_str() + 5);
}
