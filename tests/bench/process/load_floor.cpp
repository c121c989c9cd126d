// The floor of a worker's start: a process that loads the module it is named, says so with one byte, and ends.

#include <cstdio>
#include <dlfcn.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  if (::dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) == nullptr) {
    std::fprintf(stderr, "load_floor: %s\n", ::dlerror());
    return 3;
  }
  return ::write(STDOUT_FILENO, "x", 1) == 1 ? 0 : 4;
}
