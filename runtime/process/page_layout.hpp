#pragma once
// Page layout: where each word of a worker page lies, who writes it, and what order makes it true after a crash.
//
// header | thread slots | gates | link ids | counter names | ledger cells | counts. Offsets follow from the sizes in
// the header and are computed anew by each side from its own copy of them.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace berth::process {

using shared_word = std::atomic<std::uint64_t>;
static_assert(shared_word::is_always_lock_free);

/// Written once by the node before the worker starts, but the last line.
struct alignas(128) page_header {
  static constexpr std::uint64_t magic_now = 0x3067702d68747265;  // "erth-pg0", little-endian
  std::uint64_t magic = 0;
  std::uint32_t threads = 0;
  std::uint32_t tags = 0;
  std::uint32_t links = 0;
  std::uint32_t counters = 0;
  // From here on the worker writes.
  alignas(64) shared_word heartbeat_ns;
  shared_word counters_used;
  shared_word crash_signal;  ///< 0: none; written last
  shared_word crash_code;
  shared_word crash_address;
  shared_word crash_thread;
};

/// One executing thread. Its owner writes; `phase` is odd while it decides whether a call may start.
/// A start is the store of `call`; an end is the store of a count. So after a crash a call was running exactly when
/// `call` is set and the thread's counts add up to `done`.
struct alignas(128) thread_slot {
  shared_word phase;
  shared_word call;  ///< id of the running call, 0 for none
  std::atomic<std::uint32_t> link;
  std::atomic<std::uint32_t> counter;
  shared_word done;
};

/// The name of one counter; written before `counters_used` covers it, then never again.
struct counter_name {
  static constexpr std::size_t text_max = 508;
  std::uint16_t caller_bytes = 0;
  std::uint16_t ref_bytes = 0;
  char text[text_max] = {};
};

/// A ledger cell holds the newest call that fell on it: id and state. Ids of one link ascend, so a larger word is newer.
constexpr std::uint64_t ledger_window = 256;
constexpr std::uint32_t outcomes_max = 16;

constexpr std::uint64_t ledger_started(std::uint64_t call) noexcept {
  return call << 2 | 1;
}

constexpr std::uint64_t ledger_finished(std::uint64_t call) noexcept {
  return call << 2 | 2;
}

struct page_layout {
  page_header* header = nullptr;
  thread_slot* threads = nullptr;
  shared_word* gates = nullptr;
  shared_word* link_ids = nullptr;
  counter_name* names = nullptr;
  shared_word* ledger = nullptr;
  shared_word* counts = nullptr;
  std::uint32_t counters = 0;

  [[nodiscard]] shared_word& ledger_cell(std::uint32_t link, std::uint64_t call) const noexcept {
    return ledger[link * ledger_window + call % ledger_window];
  }

  [[nodiscard]] shared_word& count(std::uint32_t thread,
                                   std::uint32_t counter,
                                   std::uint32_t outcome) const noexcept {
    return counts[(std::size_t{thread} * counters + counter) * outcomes_max
                  + outcome % outcomes_max];
  }
};

}  // namespace berth::process
