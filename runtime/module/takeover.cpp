#include "runtime/module/takeover.hpp"

#include <berth/error.hpp>
#include <berth/init.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>

namespace berth {

namespace {

module::worker_main& program_worker() noexcept {
  static module::worker_main run = nullptr;
  return run;
}

using user_main = int (*)(int, char**, char**);
using start_main = int (*)(user_main, int, char**, void (*)(), void (*)(), void (*)(), void*);

user_main& main_of_program() noexcept {
  static user_main main = nullptr;
  return main;
}

int worker_or_main(int argc, char** argv, char** environment) {
  if (module::started_as_worker()) return module::run_program_worker(argc, argv);
  return main_of_program()(argc, argv, environment);
}

}  // namespace

void module::set_program_worker(worker_main run) noexcept {
  program_worker() = run;
}

bool module::started_as_worker() noexcept {
  const char* set = std::getenv(program_worker_variable);
  return set != nullptr && std::strcmp(set, "1") == 0;
}

int module::run_program_worker(int argc, char** argv) noexcept {
  ::unsetenv(program_worker_variable);
  if (program_worker() == nullptr) {
    std::fprintf(stderr, "berth: %s was started as a worker but links no worker code\n",
                 argc > 0 ? argv[0] : "a program");
    return exit_code(kind::failed);
  }
  return program_worker()(argc, argv);
}

void init(int argc, char** argv) {
  if (module::started_as_worker()) std::exit(module::run_program_worker(argc, argv));
}

}  // namespace berth

// Found before the C library's own by every program that links libberth; the signature is glibc's.
extern "C" BERTH_API int __libc_start_main(berth::user_main main,
                                           int argc,
                                           char** argv,
                                           void (*init)(),
                                           void (*fini)(),
                                           void (*loader_fini)(),
                                           void* stack_end) {
  berth::main_of_program() = main;
  const auto real = reinterpret_cast<berth::start_main>(::dlsym(RTLD_NEXT, "__libc_start_main"));
  return real(&berth::worker_or_main, argc, argv, init, fini, loader_fini, stack_end);
}
