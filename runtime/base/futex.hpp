#pragma once
// Sleeping on a word, and waking who sleeps on it, within one process.

#include "runtime/base/clock.hpp"

#include <atomic>
#include <cstdint>

namespace berth::base {

/// Sleeps while `word` is `expected`, at most until `deadline`. May return early. False: the deadline passed.
bool futex_wait(const std::atomic<std::uint32_t>& word,
                std::uint32_t expected,
                time_point deadline) noexcept;

/// Wakes up to `count` sleepers. The word may already be gone: nobody sleeps on it then.
void futex_wake(const std::atomic<std::uint32_t>& word, int count) noexcept;

}  // namespace berth::base
