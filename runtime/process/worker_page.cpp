#include "runtime/process/worker_page.hpp"

#include <cstring>
#include <linux/membarrier.h>
#include <new>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace berth::process {
namespace {

constexpr std::uint32_t threads_max = 256;
constexpr std::uint32_t slots_max = 65536;

int membarrier(int command) noexcept {
  return static_cast<int>(::syscall(SYS_membarrier, command, 0, 0));
}

constexpr std::size_t round_up(std::size_t bytes) {
  return (bytes + 127) / 128 * 128;
}

bool sane(const page_size& size) {
  return size.threads >= 1 && size.threads <= threads_max && size.tags >= 1
         && size.tags <= slots_max && size.links >= 1 && size.links <= slots_max
         && size.counters >= 1 && size.counters <= slots_max;
}

// Lays the parts out one behind the other and tells where each begins.
class part_cursor {
 public:
  explicit part_cursor(std::byte* base) : base_(base) {}

  template <class T>
  T* take(std::size_t count) {
    auto* at = base_ == nullptr ? nullptr : base_ + used_;
    used_ += round_up(count * sizeof(T));
    return reinterpret_cast<T*>(at);
  }

  [[nodiscard]] std::size_t used() const { return used_; }

 private:
  std::byte* base_;
  std::size_t used_ = 0;
};

struct laid_out {
  page_layout page;
  std::size_t bytes = 0;
};

laid_out lay_out(std::byte* base, const page_size& size) {
  part_cursor cursor(base);
  laid_out all;
  all.page.header = cursor.take<page_header>(1);
  all.page.threads = cursor.take<thread_slot>(size.threads);
  all.page.gates = cursor.take<shared_word>(size.tags);
  all.page.link_ids = cursor.take<shared_word>(size.links);
  all.page.names = cursor.take<counter_name>(size.counters);
  all.page.ledger = cursor.take<shared_word>(std::size_t{size.links} * ledger_window);
  all.page.counts =
      cursor.take<shared_word>(std::size_t{size.threads} * size.counters * outcomes_max);
  all.page.counters = size.counters;
  all.bytes = cursor.used();
  return all;
}

// FNV-1a, 64 bits: tells cut texts apart; needs no strength.
std::uint64_t fingerprint(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char one : text)
    hash = (hash ^ static_cast<unsigned char>(one)) * 0x100000001b3;
  return hash;
}

std::string fitted(std::string_view text) {
  constexpr std::size_t half = counter_name::text_max / 2;
  if (text.size() <= half) return std::string(text);
  char mark[20];
  const int written = std::snprintf(mark, sizeof mark, "~%016llx",
                                    static_cast<unsigned long long>(fingerprint(text)));
  return std::string(text.substr(0, half - static_cast<std::size_t>(written))) + mark;
}

struct name_pair {
  std::string_view caller;
  std::string_view ref;
};

name_pair read_name(const counter_name& cell) {
  const std::size_t caller = std::min<std::size_t>(cell.caller_bytes, counter_name::text_max);
  const std::size_t ref = std::min<std::size_t>(cell.ref_bytes, counter_name::text_max - caller);
  return {{cell.text, caller}, {cell.text + caller, ref}};
}

void write_name(counter_name& cell, std::string_view caller, std::string_view ref) {
  std::memcpy(cell.text, caller.data(), caller.size());
  std::memcpy(cell.text + caller.size(), ref.data(), ref.size());
  cell.caller_bytes = static_cast<std::uint16_t>(caller.size());
  cell.ref_bytes = static_cast<std::uint16_t>(ref.size());
}

std::uint64_t sum_of(const page_layout& page, std::uint32_t thread, std::uint32_t counters) {
  std::uint64_t sum = 0;
  for (std::uint32_t c = 0; c < counters; ++c)
    for (std::uint32_t o = 0; o < outcomes_max; ++o)
      sum += page.count(thread, c, o).load(std::memory_order_acquire);
  return sum;
}

std::uint32_t counters_in_use(const page_layout& page) {
  const auto used = page.header->counters_used.load(std::memory_order_acquire);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(used, page.counters));
}

}  // namespace

// ---- the worker's side

result<std::unique_ptr<page_writer>> page_writer::open(base::unique_fd page) {
  auto region = shared_region::map(std::move(page), sizeof(page_header));
  if (!region) return std::move(region).error().at("while opening the worker page");
  const auto* header = reinterpret_cast<const page_header*>(region->data());
  const page_size size{header->threads, header->tags, header->links, header->counters};
  if (header->magic != page_header::magic_now || !sane(size)
      || lay_out(nullptr, size).bytes > region->size())
    return fail(kind::invalid, "no_worker_page", "the descriptor handed over is no worker page");
  return std::unique_ptr<page_writer>(new page_writer(std::move(*region), size));
}

page_writer::page_writer(shared_region region, page_size size)
    : region_(std::move(region)),
      size_(size),
      page_(lay_out(region_.data(), size).page),
      fence_(membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) != 0),
      link_closed_at_(size.links, 0) {}

result<std::uint32_t> page_writer::open_link(std::uint64_t link_id) {
  const std::lock_guard hold(slots_);
  std::uint32_t best = size_.links;
  std::uint64_t best_age = ~std::uint64_t{0};
  for (std::uint32_t slot = 0; slot < size_.links; ++slot) {
    const bool open =
        page_.link_ids[slot].load(std::memory_order_relaxed) != 0 && link_closed_at_[slot] == 0;
    if (open || link_closed_at_[slot] >= best_age) continue;
    best = slot;
    best_age = link_closed_at_[slot];
  }
  if (best == size_.links)
    return fail(kind::overloaded, "links_full",
                "the worker serves " + std::to_string(size_.links)
                    + " links already; close one or add a replica");
  page_.link_ids[best].store(0, std::memory_order_seq_cst);
  for (std::uint64_t c = 0; c < ledger_window; ++c)
    page_.ledger_cell(best, c).store(0, std::memory_order_relaxed);
  link_closed_at_[best] = 0;
  page_.link_ids[best].store(link_id, std::memory_order_release);
  return best;
}

void page_writer::close_link(std::uint32_t slot) noexcept {
  const std::lock_guard hold(slots_);
  link_closed_at_[slot] = ++closed_links_;
}

std::uint32_t page_writer::counter(std::string_view caller, std::string_view ref) {
  const auto short_caller = fitted(caller);
  const auto short_ref = fitted(ref);
  const std::lock_guard hold(slots_);
  for (std::uint32_t slot = 1; slot < counters_used_; ++slot) {
    const auto name = read_name(page_.names[slot]);
    if (name.caller == short_caller && name.ref == short_ref) return slot;
  }
  if (counters_used_ == size_.counters) return 0;
  write_name(page_.names[counters_used_], short_caller, short_ref);
  page_.header->counters_used.store(counters_used_ + 1, std::memory_order_release);
  return counters_used_++;
}

void page_writer::beat(std::chrono::nanoseconds now) noexcept {
  page_.header->heartbeat_ns.store(static_cast<std::uint64_t>(now.count()),
                                   std::memory_order_relaxed);
}

std::optional<call_mark> page_writer::sole_running() const noexcept {
  std::optional<call_mark> only;
  for (std::uint32_t t = 0; t < size_.threads; ++t) {
    const auto& slot = page_.threads[t];
    const auto call = slot.call.load(std::memory_order_acquire);
    if (call == 0) continue;
    if (only) return std::nullopt;
    only = call_mark{slot.link.load(std::memory_order_relaxed),
                     slot.counter.load(std::memory_order_relaxed), call, 0, 0};
  }
  return only;
}

void page_writer::crashed(int signal, int code, std::uint64_t address) noexcept {
  auto& header = *page_.header;
  std::uint64_t nobody = 0;
  const auto me = static_cast<std::uint64_t>(::syscall(SYS_gettid));
  if (!header.crash_thread.compare_exchange_strong(nobody, me)) return;
  header.crash_code.store(static_cast<std::uint64_t>(static_cast<std::uint32_t>(code)),
                          std::memory_order_relaxed);
  header.crash_address.store(address, std::memory_order_relaxed);
  header.crash_signal.store(static_cast<std::uint64_t>(signal), std::memory_order_release);
}

// ---- the node's side

result<std::unique_ptr<page_reader>> page_reader::make(const page_size& size) {
  if (!sane(size))
    return fail(kind::invalid, "page_size",
                "a worker page has 1 to 256 threads and 1 to 65536 tags, links and counters");
  auto region = shared_region::make("berth-worker-page", lay_out(nullptr, size).bytes);
  if (!region) return std::move(region).error().at("while making a worker page");
  auto* header = new (region->data()) page_header();
  header->threads = size.threads;
  header->tags = size.tags;
  header->links = size.links;
  header->counters = size.counters;
  header->counters_used.store(1, std::memory_order_relaxed);
  header->magic = page_header::magic_now;
  auto self = std::unique_ptr<page_reader>(new page_reader(std::move(*region), size));
  write_name(self->page_.names[0], "(other)", "(other)");
  return self;
}

page_reader::page_reader(shared_region region, page_size size)
    : region_(std::move(region)), size_(size), page_(lay_out(region_.data(), size).page) {}

void page_reader::raise_gate(std::uint32_t tag, std::uint64_t revision) noexcept {
  auto& gate = page_.gates[tag];
  auto seen = gate.load(std::memory_order_relaxed);
  while (seen < revision && !gate.compare_exchange_weak(seen, revision)) {
  }
}

result<void> page_reader::close_gate(std::uint32_t tag,
                                     std::uint64_t revision,
                                     std::chrono::nanoseconds patience) {
  if (tag >= size_.tags)
    return fail(kind::invalid, "no_such_gate",
                "the worker page has no gate " + std::to_string(tag));
  raise_gate(tag, revision);
  return wait_until_decided(patience);
}

result<void> page_reader::close_all(std::chrono::nanoseconds patience) {
  for (std::uint32_t tag = 0; tag < size_.tags; ++tag)
    raise_gate(tag, closed_for_good);
  return wait_until_decided(patience);
}

// The new gate is stored. After the barrier each thread of the worker either sees it, or had stored its phase before and
// shows here as deciding; those few nanoseconds (longer when the thread was descheduled) are waited for.
result<void> page_reader::wait_until_decided(std::chrono::nanoseconds patience) const {
  (void)membarrier(
      MEMBARRIER_CMD_GLOBAL_EXPEDITED);  // where there is none, the worker fences in each `begin`
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (std::uint32_t t = 0; t < size_.threads; ++t) {
    const auto& phase = page_.threads[t].phase;
    const auto seen = phase.load(std::memory_order_seq_cst);
    if (seen % 2 == 0) continue;
    for (std::uint32_t turn = 0; phase.load(std::memory_order_acquire) == seen; ++turn) {
      if (turn < 64) continue;
      if (std::chrono::steady_clock::now() > deadline)
        return fail(kind::timed_out, "worker_stopped",
                    "a thread of the worker stands still while it decides about a call");
      std::this_thread::yield();
    }
  }
  return {};
}

bool page_reader::lost(std::uint32_t thread) const noexcept {
  const auto& slot = page_.threads[thread];
  if (slot.call.load(std::memory_order_acquire) == 0) return false;
  return sum_of(page_, thread, counters_in_use(page_)) == slot.done.load(std::memory_order_acquire);
}

fate page_reader::fate_of(std::uint64_t link_id, std::uint64_t call) const noexcept {
  if (link_id == 0 || call == 0) return fate::unknown;
  std::uint32_t slot = 0;
  while (slot < size_.links && page_.link_ids[slot].load(std::memory_order_acquire) != link_id)
    ++slot;
  if (slot == size_.links) return fate::unknown;
  fate known = fate::not_started;
  for (std::uint32_t t = 0; t < size_.threads; ++t) {
    const auto& one = page_.threads[t];
    if (one.call.load(std::memory_order_acquire) == call
        && one.link.load(std::memory_order_acquire) == slot)
      known = lost(t) ? fate::started : fate::finished;
  }
  const auto cell = page_.ledger_cell(slot, call).load(std::memory_order_acquire);
  if (known == fate::not_started && cell >= ledger_started(call))
    known = cell == ledger_started(call) ? fate::started : fate::finished;
  const bool still_its = page_.link_ids[slot].load(std::memory_order_acquire) == link_id;
  return still_its ? known : fate::unknown;
}

std::uint32_t page_reader::running() const noexcept {
  std::uint32_t count = 0;
  for (std::uint32_t t = 0; t < size_.threads; ++t)
    count += lost(t) ? 1 : 0;
  return count;
}

std::uint64_t page_reader::finished() const noexcept {
  std::uint64_t sum = 0;
  for (std::uint32_t t = 0; t < size_.threads; ++t)
    sum += sum_of(page_, t, counters_in_use(page_));
  return sum;
}

std::vector<call_count> page_reader::counts(life worker) const {
  constexpr auto died = static_cast<outcome>(kind::outcome_unknown);
  const auto used = counters_in_use(page_);
  std::vector<std::uint64_t> sums(std::size_t{used} * outcomes_max, 0);
  for (std::uint32_t t = 0; t < size_.threads; ++t) {
    for (std::uint32_t c = 0; c < used; ++c)
      for (std::uint32_t o = 0; o < outcomes_max; ++o)
        sums[c * outcomes_max + o] += page_.count(t, c, o).load(std::memory_order_acquire);
    const auto mine = page_.threads[t].counter.load(std::memory_order_relaxed);
    if (worker == life::ended && mine < used && lost(t)) ++sums[mine * outcomes_max + died];
  }
  std::vector<call_count> rows;
  for (std::uint32_t c = 0; c < used; ++c) {
    const auto name = read_name(page_.names[c]);
    for (std::uint32_t o = 0; o < outcomes_max; ++o)
      if (const auto calls = sums[c * outcomes_max + o]; calls != 0)
        rows.push_back(
            {std::string(name.caller), std::string(name.ref), static_cast<outcome>(o), calls});
  }
  return rows;
}

std::chrono::nanoseconds page_reader::heartbeat() const noexcept {
  return std::chrono::nanoseconds(page_.header->heartbeat_ns.load(std::memory_order_relaxed));
}

std::optional<crash_note> page_reader::crash() const noexcept {
  const auto& header = *page_.header;
  const auto signal = header.crash_signal.load(std::memory_order_acquire);
  if (signal == 0) return std::nullopt;
  return crash_note{static_cast<int>(signal),
                    static_cast<int>(header.crash_code.load(std::memory_order_relaxed)),
                    header.crash_address.load(std::memory_order_relaxed),
                    static_cast<std::int32_t>(header.crash_thread.load(std::memory_order_relaxed))};
}

}  // namespace berth::process
