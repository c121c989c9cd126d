#pragma once
// Worker process: from the first message of the node to the last call; what `berth-worker` runs, and what a program
// becomes when its own executable is the module.

#include <berth/error.hpp>
#include <string>
#include <vector>

namespace berth::worker {

/// Runs the worker that the environment describes (runtime/process/worker_control.hpp); returns its exit code.
/// 0: drained, or the node has gone. 1: unfit, and the node was told why.
[[nodiscard]] BERTH_API int serve_node();

/// Loads the module at `file` and prints what it exports (runtime/module/describe.hpp); returns the exit code.
[[nodiscard]] BERTH_API int describe_module(const std::string& file);

/// A worker without a node, for tests, debuggers and `berth call --here`.
struct by_hand {
  std::string module;  ///< shared object
  std::string symbol;  ///< export; empty: the only one
  std::string
      manifest;  ///< instead of the module: a version's manifest, its files go into the current folder
  std::string blobs;   ///< what it names, each in this folder under its digest
  std::string listen;  ///< path of the Unix socket
  std::string name = "by/hand";
  std::uint32_t version = 1;
  bool ring = true;  ///< offer the ring lane
  int lifeline = 0;  ///< descriptor: it serves until this ends
  int ready = 1;     ///< descriptor that gets the line "ready" when it can be called
};

/// Loads the module or version, listens and serves until its lifeline ends.
[[nodiscard]] BERTH_API int serve_by_hand(const by_hand& what);

}  // namespace berth::worker
