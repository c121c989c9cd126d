// A program whose own executable is the module: its worker is the same file, started again. The library stands between
// the C runtime and `main`, so the user's static constructors have run, what they exported is registered, and `main`
// does not run in a worker.

#include <dlfcn.h>

#include <cstdlib>

#include "runtime/process/worker_control.hpp"
#include "runtime/worker/worker_process.hpp"

namespace {

using main_function = int (*)(int, char**, char**);
using start_function = int (*)(main_function, int, char**, void (*)(), void (*)(), void (*)(), void*);

main_function users_main = nullptr;

int main_or_worker(int argc, char** argv, char** envp) {
  if (std::getenv(berth::process::worker_descriptors::control) != nullptr) return berth::worker::serve_node();
  return users_main(argc, argv, envp);
}

}  // namespace

/// Takes the place of the C library's, which it calls (tried with glibc 2.36, shared libberth).
extern "C" BERTH_API int __libc_start_main(main_function main, int argc, char** argv, void (*init)(), void (*fini)(),
                                           void (*rtld_fini)(), void* stack_end) {
  users_main = main;
  const auto real = reinterpret_cast<start_function>(::dlsym(RTLD_NEXT, "__libc_start_main"));
  if (real == nullptr) std::abort();
  return real(&main_or_worker, argc, argv, init, fini, rtld_fini, stack_end);
}
