// A program whose own executable is the module becomes a worker in the place of `main` (runtime/module/takeover.hpp);
// here it learns how.

#include "runtime/module/takeover.hpp"
#include "runtime/worker/worker_process.hpp"

namespace berth::worker {
namespace {

[[maybe_unused]] const bool known = [] {
  module::set_program_worker([](int, char**) { return serve_node(); });
  return true;
}();

}  // namespace
}  // namespace berth::worker
