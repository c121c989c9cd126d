#pragma once
// Crash handler: a fatal signal leaves its name and address in the worker page before the process dies of it.
//
// It runs on a stack of its own, so a stack overflow is told too, writes a handful of words, and lets the signal kill
// the process as it would have: exit status and core file stay what they are.

#include <berth/error.hpp>
#include <memory>

namespace berth::process {

class page_writer;

/// Installs handlers for SEGV, BUS, FPE, ILL, ABRT, SYS and TRAP. `page` must live as long as the process. Once a process.
result<void> install_crash_handler(page_writer& page);

/// The stack the handler runs on, for the thread that makes it; drop it on the same thread before it ends.
class crash_stack {
 public:
  crash_stack();
  crash_stack(const crash_stack&) = delete;
  crash_stack& operator=(const crash_stack&) = delete;
  ~crash_stack();

 private:
  void* memory_ = nullptr;
};

}  // namespace berth::process
