// berth-worker: runs user code, one replica of one version. The node starts it; --listen serves without one,
// --describe FILE prints what a module exports.

#include "runtime/process/worker_control.hpp"
#include "runtime/worker/worker_process.hpp"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <string_view>

int main(int argc, char** argv) {
  if (std::getenv(berth::process::worker_descriptors::control) != nullptr)
    return berth::worker::serve_node();
  if (argc == 3 && std::string_view(argv[1]) == "--describe")
    return berth::worker::describe_module(argv[2]);
  CLI::App app(
      "Serves one module without a node, until standard input ends.\n\n"
      "Example: berth-worker --module ./digits.so --symbol classify --listen /tmp/digits.sock");
  berth::worker::by_hand what;
  bool no_ring = false;
  app.add_option("--module", what.module, "shared object")->required();
  app.add_option("--symbol", what.symbol, "export; may be left out when there is only one");
  app.add_option("--listen", what.listen, "path of the Unix socket")->required();
  app.add_option("--name", what.name, "name it serves under");
  app.add_option("--number", what.version, "its version's number");
  app.add_flag("--no-ring", no_ring, "serve over the Unix socket, without shared memory");
  CLI11_PARSE(app, argc, argv);
  what.ring = !no_ring;
  return berth::worker::serve_by_hand(what);
}
