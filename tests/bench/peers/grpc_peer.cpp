// gRPC C++, unary call over a Unix socket: two numbers in, one out.
#include "call.grpc.pb.h"

#include "tests/bench/peers/peer.hpp"

#include <filesystem>
#include <grpcpp/grpcpp.h>
#include <string>

namespace {

class adder final : public peer::Adder::Service {
  grpc::Status Add(grpc::ServerContext*, const peer::Pair* in, peer::Sum* out) override {
    out->set_sum(in->a() + in->b());
    return grpc::Status::OK;
  }
};

}  // namespace

int main() {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("berth-bench-grpc-" + std::to_string(::getpid())))
          .string();
  {
    berth::bench::peer_server server([&](int port_pipe) {
      adder service;
      grpc::ServerBuilder builder;
      builder.AddListeningPort("unix:" + path, grpc::InsecureServerCredentials());
      builder.RegisterService(&service);
      auto running = builder.BuildAndStart();
      berth::bench::announce(port_pipe, 1);
      running->Wait();
    });
    auto stub = peer::Adder::NewStub(
        grpc::CreateChannel("unix:" + path, grpc::InsecureChannelCredentials()));
    berth::bench::measure_peer("gRPC unary, Unix socket", 5000, [&](int i) {
      grpc::ClientContext context;
      peer::Pair pair;
      peer::Sum sum;
      pair.set_a(i);
      pair.set_b(2);
      if (!stub->Add(&context, pair, &sum).ok() || sum.sum() != i + 2) std::exit(4);
    });
  }
  ::unlink(path.c_str());
}
