#pragma once
// `berth call --here`: the function runs in a worker that is a child of this command, for debuggers and quick tries.

#include "runtime/client/dynamic.hpp"
#include "tools/berth/command.hpp"

#include <berth/error.hpp>
#include <memory>
#include <string>

namespace berth::tools {

/// A worker of this command's own. A resource: ends, with its socket, when dropped.
class here_worker {
 public:
  enum class debugger : bool { none, gdb };

  /// Builds `what` ("f.cpp::g", "f.cpp", "score.so::score"), starts the worker and waits until it serves.
  /// Errors: those of the build; `invalid` for words that name no file; `failed` when the worker ends first.
  static result<std::unique_ptr<here_worker>> start(context& with,
                                                    const std::string& what,
                                                    debugger how);
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
