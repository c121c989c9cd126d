#pragma once

// Ctrl-C: noticed by a flag and a descriptor, so that long commands end cleanly and leave nothing behind; a command that
// is blocked in a wait is ended all the same, with exit code 130.

#include <functional>
#include <list>

namespace berth::tools {

/// Catches SIGINT and SIGTERM from now on: the first sets the flag and makes the descriptor readable. The command then has
/// a moment to end by itself; after it, what `interrupt_cleanup`s keep is run and the program ends. A second signal ends
/// it at once.
void catch_interrupts();
[[nodiscard]] bool interrupted() noexcept;
/// Readable once an interrupt came; for poll. Never read from it.
[[nodiscard]] int interrupt_descriptor() noexcept;

/// A resource: while it lives, the command ends by itself once interrupted, and gets the seconds that takes (children
/// have to be stopped). Threads: the command's own.
class ends_by_itself {
 public:
  ends_by_itself();
  ~ends_by_itself();
  ends_by_itself(const ends_by_itself&) = delete;
  ends_by_itself& operator=(const ends_by_itself&) = delete;
};

/// A resource: what has to be undone when the program is ended by an interrupt instead of by its return. It runs on
/// another thread than the command's, at most once, and never after the resource was dropped.
class interrupt_cleanup {
 public:
  explicit interrupt_cleanup(std::function<void()> undo);
  ~interrupt_cleanup();
  interrupt_cleanup(const interrupt_cleanup&) = delete;
  interrupt_cleanup& operator=(const interrupt_cleanup&) = delete;

 private:
  std::list<std::function<void()>>::iterator at_;
};

}  // namespace berth::tools
