#pragma once
// ensure: a check of our own reasoning that stays on in release.
//
// It ends the process that holds the bug (an actor system or a worker), never silently; a supervisor decides
// what follows. It is not for bad input: that is a `result`.

#include <cstdio>
#include <cstdlib>

namespace berth::base {

/// Ends the process with a line that names the broken expectation when `cond` is false.
inline void ensure(bool cond, const char* what) {
  if (cond) [[likely]]
    return;
  std::fprintf(stderr, "berth: broken expectation: %s\n", what);
  std::abort();
}

}  // namespace berth::base
