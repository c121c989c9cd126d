// berth-worker: runs user code, one replica of one version. The node starts it; --listen serves without one,
// --describe FILE prints what a module exports.

#include "runtime/process/worker_control.hpp"
#include "runtime/worker/worker_process.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
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
  auto* module = app.add_option("--module", what.module, "shared object");
  auto* manifest =
      app.add_option("--manifest", what.manifest, "a version's manifest, instead of a module");
  app.add_option("--blobs", what.blobs, "folder with what the manifest names, by digest")
      ->needs(manifest);
  module->excludes(manifest);
  app.add_option("--symbol", what.symbol, "export; may be left out when there is only one");
  app.add_option("--listen", what.listen, "path of the Unix socket")->required();
  app.add_option("--name", what.name, "name it serves under");
  app.add_option("--number", what.version, "its version's number");
  app.add_option("--lifeline-fd", what.lifeline, "serves until this descriptor ends")
      ->capture_default_str();
  app.add_option("--ready-fd", what.ready, "gets the line 'ready'")->capture_default_str();
  app.add_flag("--no-ring", no_ring, "serve over the Unix socket, without shared memory");
  CLI11_PARSE(app, argc, argv);
  if (what.module.empty() && what.manifest.empty()) {
    std::fputs("berth-worker: give --module or --manifest; see --help\n", stderr);
    return 2;
  }
  what.ring = !no_ring;
  return berth::worker::serve_by_hand(what);
}
