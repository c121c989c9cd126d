// Ray C++: a synchronous call of an actor's method on a local Ray cluster: two numbers in, one out. Built by the script
// `ray_monarch` against Ray's wheel, never by the project's own build.
#include "tests/bench/peers/peer.hpp"

#include <ray/api.h>

namespace {

class adder {
 public:
  static adder* create() { return new adder; }

  double add(double a, double b) { return a + b; }
};

}  // namespace

RAY_REMOTE(adder::create, &adder::add);

/// The arguments are the address of the Ray cluster that the script started, and the shared object made of this file,
/// which Ray's workers load.
int main(int argc, char** argv) {
  if (argc != 3) return 2;
  ray::RayConfig config;
  config.address = argv[1];
  config.code_search_path = {argv[2]};
  ray::Init(config);
  auto actor = ray::Actor(adder::create).Remote();
  berth::bench::measure_peer("Ray C++ actor", 5000, [&](int i) {
    if (*ray::Get(actor.Task(&adder::add).Remote(static_cast<double>(i), 2.0)) != i + 2)
      std::exit(4);
  });
  ray::Shutdown();
}
