#pragma once
// init: for programs on C libraries whose start berth cannot take part in.

#include <berth/error.hpp>

namespace berth {

/// Call it first in `main`, before threads are made. In a process that berth started as a worker of this very program it
/// runs the worker and does not return. With glibc nothing is left for it to do: workers never reach `main`.
BERTH_API void init(int argc, char** argv);

}  // namespace berth
