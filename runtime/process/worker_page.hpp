#pragma once
// Worker page: what a worker says about its calls in memory that outlives it.
//
// The node makes the page and maps it beside the worker. Three promises rest on it:
// - *exact flips*: no call starts under a tag's old revision once the flip was acknowledged (the gate);
// - *at most one start*: when a worker dies, the ledger still says of each call whether it had started;
// - *exact counts*: calls by caller, ref and outcome are folded here and survive kill -9.
//
// Each word has one writer: an executing thread its own slot and counts, the node the gates. Nothing is locked, no
// index is believed that the other side wrote. The layout is `page_layout.hpp`.

#include "runtime/base/unique_fd.hpp"
#include "runtime/process/page_layout.hpp"
#include "runtime/process/shared_region.hpp"

#include <berth/error.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::process {

/// How large a page is made; recorded in it. A value.
struct page_size {
  std::uint32_t threads = 1;      ///< executing threads, 1 … 256: the version's concurrency
  std::uint32_t tags = 256;       ///< gates; slot 0 is the gate of pinned calls
  std::uint32_t links = 256;      ///< links open at one time
  std::uint32_t counters = 1024;  ///< distinct (caller, ref); further ones are counted together

  friend bool operator==(const page_size&, const page_size&) = default;
};

/// The slot of pinned calls and the revision they carry: only a gate closed for good refuses them.
constexpr std::uint32_t pinned_slot = 0;
constexpr std::uint64_t pinned_revision = ~std::uint64_t{0} - 1;
/// A gate at this revision admits nothing: the worker is being drained.
constexpr std::uint64_t closed_for_good = ~std::uint64_t{0};

/// What is known of one call of one link.
enum class fate : std::uint8_t {
  unknown,      ///< the link is not (or no longer) in the ledger
  not_started,  ///< the function was not entered: safe to call elsewhere
  started,      ///< entered, not known to have returned
  finished,     ///< returned or thrown; its answer may be on its way
};

/// How a call ended, as counted: 0 is a result, otherwise the number of its `berth::kind`.
using outcome = std::uint8_t;
constexpr outcome outcome_ok = 0;

/// One call as the ledger sees it. A value; `link` and `counter` come from `open_link` and `counter`.
struct call_mark {
  std::uint32_t link = 0;      ///< slot
  std::uint32_t counter = 0;   ///< slot
  std::uint64_t call = 0;      ///< id on its link; ids of one link ascend
  std::uint32_t tag = 0;       ///< gate slot, as the caller sent it: may be any number
  std::uint64_t revision = 0;  ///< of the tag, as the caller sent it
};

/// The worker's side. Hot functions are inline, without locks, allocation or system calls.
/// Threads: `begin` and `end` with one thread index belong to one thread at a time; the rest may be called from any.
class page_writer {
 public:
  /// Maps the page the node handed over. Errors: `invalid` when it is no worker page.
  static result<std::unique_ptr<page_writer>> open(base::unique_fd page);

  [[nodiscard]] page_size size() const noexcept { return size_; }

  /// Asks the gate and, when it admits the call, notes it as started. False: answer `moved`; the call did not start.
  /// Cost: about 2 ns.
  [[nodiscard]] bool begin(std::uint32_t thread, const call_mark& mark) noexcept;

  /// Notes the call that `begin` admitted on this thread as finished and counts it.
  void end(std::uint32_t thread, outcome how) noexcept;

  /// Whether a call with this revision could start now. A hint (for the queue); `begin` decides.
  [[nodiscard]] bool gate_admits(std::uint32_t tag, std::uint64_t revision) const noexcept;

  /// A slot in the ledger for a link; `link_id` is unique within the worker's life and not 0.
  /// Errors: `overloaded` when all slots are taken.
  result<std::uint32_t> open_link(std::uint64_t link_id);
  /// The link is gone. Its ledger stays readable until the slot is needed again (longest closed first).
  void close_link(std::uint32_t slot) noexcept;

  /// A slot in the counters for calls of `caller` through `ref`; the same pair gets the same slot. When the table is
  /// full: the slot whose caller and ref are "(other)". Texts longer than their cell are cut and told apart by hash.
  [[nodiscard]] std::uint32_t counter(std::string_view caller, std::string_view ref);

  /// Says "I live" with a clock of the caller's.
  void beat(std::chrono::nanoseconds now) noexcept;

  /// The one call that runs now on any thread; nothing when none or several do.
  [[nodiscard]] std::optional<call_mark> sole_running() const noexcept;

  /// For a fatal signal's handler: the first to write wins. Safe in a signal handler.
  void crashed(int signal, int code, std::uint64_t address) noexcept;

 private:
  page_writer(shared_region region, page_size size);
  // The newest word of a cell stays: a call overtaken by a whole window must not hide a later one.
  void note(std::uint32_t link, std::uint64_t call, std::uint64_t state) noexcept;

  shared_region region_;
  page_size size_;
  page_layout page_;
  bool fence_ = false;  // the kernel has no membarrier: pay a fence in each `begin` instead
  std::mutex slots_;    // cold paths only: links and counters
  std::uint32_t counters_used_ = 1;
  std::uint64_t closed_links_ = 0;
  std::vector<std::uint64_t> link_closed_at_;  // 0: open
};

/// What a fatal signal's handler wrote.
struct crash_note {
  int signal = 0;
  int code = 0;
  std::uint64_t address = 0;
  std::int32_t thread = 0;  ///< kernel id
};

/// One row of the counters.
struct call_count {
  std::string caller;
  std::string ref;
  outcome how = outcome_ok;
  std::uint64_t calls = 0;

  friend bool operator==(const call_count&, const call_count&) = default;
};

/// The node's side: makes the page, moves gates, reads the ledger of the living and the dead.
/// Threads: any; closing one gate from two threads at a time is allowed, the later revision stays.
class page_reader {
 public:
  /// Makes a page. Errors: `invalid` size, `failed` with the system's reason.
  static result<std::unique_ptr<page_reader>> make(const page_size& size);

  /// For handing the page to the worker.
  [[nodiscard]] int fd() const noexcept { return region_.fd(); }

  [[nodiscard]] page_size size() const noexcept { return size_; }

  /// From the return on no call with a revision below `revision` starts through `tag`; running ones go on. A revision
  /// lower than the gate's changes nothing.
  /// Errors: `invalid` slot; `timed_out` when a thread of the worker was stopped in the middle of deciding (the gate is
  /// closed all the same; call again, or end the worker). Cost: 10 to 100 µs; never waits for a running call.
  result<void> close_gate(std::uint32_t tag,
                          std::uint64_t revision,
                          std::chrono::nanoseconds patience = std::chrono::milliseconds(500));

  /// Closes every gate for good, pinned calls included. Errors: as `close_gate`.
  result<void> close_all(std::chrono::nanoseconds patience = std::chrono::milliseconds(500));

  /// What became of a call. Exact once the worker ended; of a living worker it is a moment's view.
  [[nodiscard]] fate fate_of(std::uint64_t link_id, std::uint64_t call) const noexcept;

  /// Calls that run now; after the worker's death, those that died with it.
  [[nodiscard]] std::uint32_t running() const noexcept;

  /// Calls that finished since the worker started, all outcomes.
  [[nodiscard]] std::uint64_t finished() const noexcept;

  enum class life { runs, ended };

  /// All counted calls with a count above 0. For an ended worker the calls that died with it are counted as
  /// `outcome_unknown`, so that the sum is exactly the calls started.
  [[nodiscard]] std::vector<call_count> counts(life worker) const;

  /// The worker's last sign of life, in its clock; 0 before the first.
  [[nodiscard]] std::chrono::nanoseconds heartbeat() const noexcept;

  [[nodiscard]] std::optional<crash_note> crash() const noexcept;

 private:
  page_reader(shared_region region, page_size size);
  [[nodiscard]] result<void> wait_until_decided(std::chrono::nanoseconds patience) const;
  void raise_gate(std::uint32_t tag, std::uint64_t revision) noexcept;
  [[nodiscard]] bool lost(std::uint32_t thread) const noexcept;

  shared_region region_;
  page_size size_;
  page_layout page_;
};

// ---- the hot path ---------------------------------------------------------------------------------------------------

inline bool page_writer::gate_admits(std::uint32_t tag, std::uint64_t revision) const noexcept {
  return tag < size_.tags && revision >= page_.gates[tag].load(std::memory_order_seq_cst);
}

inline bool page_writer::begin(std::uint32_t thread, const call_mark& mark) noexcept {
  auto& slot = page_.threads[thread];
  const auto phase = slot.phase.load(std::memory_order_relaxed);
  if (fence_) {
    (void)slot.phase.exchange(phase + 1, std::memory_order_seq_cst);  // odd: deciding
  } else {
    slot.phase.store(phase + 1, std::memory_order_relaxed);
    std::atomic_signal_fence(
        std::memory_order_seq_cst);  // the flipper's membarrier is the other half
  }
  const bool admitted = gate_admits(mark.tag, mark.revision);
  if (admitted) {
    slot.link.store(mark.link, std::memory_order_relaxed);
    slot.counter.store(mark.counter, std::memory_order_relaxed);
    slot.call.store(mark.call, std::memory_order_release);  // the start, as the node sees it
    note(mark.link, mark.call, ledger_started(mark.call));
  }
  slot.phase.store(phase + 2, std::memory_order_release);
  return admitted;
}

inline void page_writer::end(std::uint32_t thread, outcome how) noexcept {
  auto& slot = page_.threads[thread];
  const auto call = slot.call.load(std::memory_order_relaxed);
  auto& count = page_.count(thread, slot.counter.load(std::memory_order_relaxed), how);
  count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_release);  // the end
  note(slot.link.load(std::memory_order_relaxed), call, ledger_finished(call));
  slot.call.store(0, std::memory_order_release);
  slot.done.store(slot.done.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

inline void page_writer::note(std::uint32_t link,
                              std::uint64_t call,
                              std::uint64_t state) noexcept {
  auto& cell = page_.ledger_cell(link, call);
  auto seen = cell.load(std::memory_order_relaxed);
  if (size_.threads == 1) {
    if (seen < state) cell.store(state, std::memory_order_release);
    return;
  }
  while (seen < state
         && !cell.compare_exchange_weak(seen, state, std::memory_order_release,
                                        std::memory_order_relaxed)) {
  }
}

}  // namespace berth::process
