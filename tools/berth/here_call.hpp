#pragma once
// `berth call --here`: the function runs in a worker that is a child of this command, for debuggers and quick tries.

#include "runtime/client/dynamic.hpp"
#include "tools/berth/command.hpp"

#include <berth/error.hpp>
#include <memory>
#include <string>
#include <vector>

namespace berth::tools {

/// What to run here. A value.
struct here_request {
  enum class debugger : bool { none, gdb };

  /// "f.cpp::g", "f.cpp", "score.so::score"; or a ref of the running cluster, whose version is then taken as it was
  /// published, with its bound arguments, files and environment.
  std::string what;
  std::vector<std::string> with;         ///< of a file: bound arguments, as `berth ship --with`
  std::vector<std::string> files;        ///< as `--file`
  std::vector<std::string> environment;  ///< as `--env`
  debugger under = debugger::none;
};

/// A worker of this command's own. A resource: ends, with its folder, when dropped, also by Ctrl-C.
class here_worker {
 public:
  /// Builds or fetches the version, starts the worker and waits until it serves. Errors: those of build, describe and
  /// assemble, or of the head; `missing` for what is neither a file nor a name; `failed` when the worker ends first (it has
  /// said why on standard error).
  static result<std::unique_ptr<here_worker>> start(context& with, const here_request& what);
  ~here_worker();
  here_worker(const here_worker&) = delete;
  here_worker& operator=(const here_worker&) = delete;

  /// Binds the function it serves. Errors: those of connecting.
  result<client::dynamic_function> function();

 private:
  here_worker() = default;
  struct state;
  std::unique_ptr<state> self_;
};

}  // namespace berth::tools
