#pragma once

// Ctrl-C: noticed once by a flag and a descriptor, so that long commands end cleanly and leave nothing behind.

namespace berth::tools {

/// Catches SIGINT and SIGTERM from now on: the first sets the flag and makes the descriptor readable, a second one ends
/// the program at once.
void catch_interrupts();
[[nodiscard]] bool interrupted() noexcept;
/// Readable once an interrupt came; for poll. Never read from it.
[[nodiscard]] int interrupt_descriptor() noexcept;

}  // namespace berth::tools
