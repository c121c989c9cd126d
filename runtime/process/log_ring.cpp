#include "runtime/process/log_ring.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <deque>
#include <iterator>
#include <linux/futex.h>
#include <new>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace berth::process {

// The order that lets a reader trust what it copied: the writer moves `tail` past what it will overwrite, writes (each
// word a release), then moves `head`. A reader copies (each word an acquire) and looks at `tail` again: what lies before
// it may be torn.
struct alignas(64) log_ring_header {
  static constexpr std::uint64_t magic_now = 0x30676f6c68747265;
  std::uint64_t magic = 0;
  std::uint64_t capacity = 0;
  alignas(64) std::atomic<std::uint64_t> head;
  std::atomic<std::uint64_t> tail;
  std::atomic<std::uint32_t> bell;      // changes with each line
  std::atomic<std::uint32_t> sleepers;  // readers in `wait`; a hint the node writes
};

namespace {

using word = std::atomic<std::uint64_t>;

// A record: these words, then the text in whole words.
struct record_head {
  std::uint64_t sequence = 0;
  std::uint64_t at_ns = 0;
  std::uint64_t link = 0;
  std::uint64_t call = 0;
  std::uint64_t facts = 0;  // bytes | stream << 32 | open << 40
};

constexpr std::uint64_t head_bytes = sizeof(record_head);

constexpr std::uint64_t record_bytes(std::uint64_t text) {
  return head_bytes + (text + 7) / 8 * 8;
}

void put(word* words, std::uint64_t capacity, std::uint64_t at, const void* from, std::size_t n) {
  const auto* bytes = static_cast<const char*>(from);
  for (std::size_t done = 0; done < n; done += 8) {
    std::uint64_t one = 0;
    std::memcpy(&one, bytes + done, std::min<std::size_t>(8, n - done));
    words[((at + done) % capacity) / 8].store(one, std::memory_order_release);
  }
}

void get(const word* words, std::uint64_t capacity, std::uint64_t at, void* to, std::size_t n) {
  auto* bytes = static_cast<char*>(to);
  for (std::size_t done = 0; done < n; done += 8) {
    const auto one = words[((at + done) % capacity) / 8].load(std::memory_order_acquire);
    std::memcpy(bytes + done, &one, std::min<std::size_t>(8, n - done));
  }
}

std::uint64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000
         + static_cast<std::uint64_t>(now.tv_nsec);
}

long futex(const std::atomic<std::uint32_t>& at,
           int what,
           std::uint32_t value,
           const timespec* limit) {
  return ::syscall(SYS_futex, &at, what, value, limit, nullptr, 0);
}

log_ring_header* header_of(const shared_region& region) {
  return reinterpret_cast<log_ring_header*>(region.data());
}

word* words_of(const shared_region& region) {
  return reinterpret_cast<word*>(region.data() + sizeof(log_ring_header));
}

log_line line_from(const record_head& head, std::string text) {
  log_line line;
  line.sequence = head.sequence;
  line.at = std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(
          std::chrono::nanoseconds(head.at_ns)));
  line.tag = {head.link, head.call};
  line.stream = (head.facts >> 32 & 0xff) == 2 ? log_stream::err : log_stream::out;
  line.open = (head.facts >> 40 & 1) != 0;
  line.text = std::move(text);
  return line;
}

}  // namespace

result<std::unique_ptr<log_writer>> log_writer::open(base::unique_fd ring) {
  auto region = shared_region::map(std::move(ring), sizeof(log_ring_header));
  if (!region) return std::move(region).error().at("while opening the log ring");
  const auto* header = header_of(*region);
  const auto capacity = header->capacity;
  if (header->magic != log_ring_header::magic_now || !std::has_single_bit(capacity)
      || capacity < 4 * record_bytes(log_line_bytes_max)
      || sizeof(log_ring_header) + capacity > region->size())
    return fail(kind::invalid, "no_log_ring", "the descriptor handed over is no log ring");
  return std::unique_ptr<log_writer>(new log_writer(std::move(*region)));
}

log_writer::log_writer(shared_region region)
    : region_(std::move(region)),
      header_(header_of(region_)),
      words_(words_of(region_)),
      capacity_(header_->capacity) {}

void log_writer::append(log_stream stream,
                        call_tag tag,
                        std::string_view text,
                        bool open) noexcept {
  {
    const std::lock_guard hold(one_at_a_time_);
    write(stream, tag, text, open);
  }
  header_->bell.fetch_add(1, std::memory_order_seq_cst);
  if (header_->sleepers.load(std::memory_order_seq_cst) != 0)
    futex(header_->bell, FUTEX_WAKE, 0x7fffffff, nullptr);
}

void log_writer::append_from_handler(log_stream stream,
                                     call_tag tag,
                                     std::string_view text) noexcept {
  if (!one_at_a_time_.try_lock()) return;
  write(stream, tag, text, false);
  one_at_a_time_.unlock();
  header_->bell.fetch_add(1, std::memory_order_seq_cst);
}

void log_writer::write(log_stream stream, call_tag tag, std::string_view text, bool open) noexcept {
  text = text.substr(0, log_line_bytes_max);
  const auto need = record_bytes(text.size());
  while (head_ + need - tail_ > capacity_) {
    record_head oldest;
    get(words_, capacity_, tail_, &oldest, head_bytes);
    const auto bytes = oldest.facts & 0xffffffff;
    tail_ = bytes > log_line_bytes_max ? head_ : tail_ + record_bytes(bytes);
  }
  header_->tail.store(tail_, std::memory_order_relaxed);
  const record_head head{++sequence_, now_ns(), tag.link, tag.call,
                         text.size() | std::uint64_t{static_cast<std::uint8_t>(stream)} << 32
                             | std::uint64_t{open} << 40};
  put(words_, capacity_, head_, &head, head_bytes);
  put(words_, capacity_, head_ + head_bytes, text.data(), text.size());
  head_ += need;
  header_->head.store(head_, std::memory_order_release);
}

result<std::shared_ptr<log_ring>> log_ring::make(std::size_t bytes) {
  const auto capacity = std::bit_ceil(std::max<std::size_t>(bytes, 32 * 1024));
  auto region = shared_region::make("berth-log-ring", sizeof(log_ring_header) + capacity);
  if (!region) return std::move(region).error().at("while making a log ring");
  auto* header = new (region->data()) log_ring_header();
  header->capacity = capacity;
  header->magic = log_ring_header::magic_now;
  return std::shared_ptr<log_ring>(new log_ring(std::move(*region)));
}

log_ring::log_ring(shared_region region)
    : region_(std::move(region)),
      header_(header_of(region_)),
      words_(words_of(region_)),
      capacity_((region_.size() - sizeof(log_ring_header))) {}

std::vector<log_line> log_ring::last(std::size_t lines) const {
  // A reader that owns nothing: the ring outlives it by this very call.
  log_reader reader(std::shared_ptr<const log_ring>(std::shared_ptr<void>(), this),
                    log_reader::start::oldest);
  std::deque<log_line> kept;
  // Bounded although the writer may go on: one capacity of records at most.
  for (std::uint64_t read = 0; read < capacity_ / head_bytes; ++read) {
    auto line = reader.next();
    if (!line) break;
    kept.push_back(std::move(*line));
    if (kept.size() > lines) kept.pop_front();
  }
  return {std::make_move_iterator(kept.begin()), std::make_move_iterator(kept.end())};
}

log_reader::log_reader(std::shared_ptr<const log_ring> ring, start from) : ring_(std::move(ring)) {
  const auto& header = *ring_->header_;
  position_ = from == start::newest ? header.head.load(std::memory_order_acquire)
                                    : header.tail.load(std::memory_order_acquire);
}

std::optional<log_line> log_reader::next() {
  const auto& header = *ring_->header_;
  const auto capacity = ring_->capacity_;
  for (int turn = 0; turn < 8; ++turn) {
    const auto head = header.head.load(std::memory_order_acquire);
    if (position_ == head) return std::nullopt;
    const auto oldest = header.tail.load(std::memory_order_acquire);
    if (position_ < oldest) position_ = oldest;
    if (position_ > head || head - position_ > capacity || position_ % 8 != 0) {
      position_ = head & ~std::uint64_t{7};  // the words make no sense: begin anew at the newest
      expected_ = 0;
      return std::nullopt;
    }
    record_head record;
    get(ring_->words_, capacity, position_, &record, head_bytes);
    const auto bytes = record.facts & 0xffffffff;
    const bool fits = bytes <= log_line_bytes_max && record_bytes(bytes) <= head - position_;
    std::string text(fits ? bytes : 0, '\0');
    get(ring_->words_, capacity, position_ + head_bytes, text.data(), text.size());
    if (header.tail.load(std::memory_order_relaxed) > position_) continue;  // torn: overwritten
    if (!fits) {
      position_ = head & ~std::uint64_t{7};
      expected_ = 0;
      return std::nullopt;
    }
    position_ += record_bytes(bytes);
    auto line = line_from(record, std::move(text));
    if (expected_ != 0 && line.sequence > expected_) line.skipped = line.sequence - expected_;
    expected_ = line.sequence + 1;
    return line;
  }
  return std::nullopt;
}

bool log_reader::wait(std::chrono::milliseconds patience) const {
  auto& header = *header_of(ring_->region_);
  const auto bell = header.bell.load(std::memory_order_seq_cst);
  if (header.head.load(std::memory_order_acquire) != position_) return true;
  const timespec limit{patience.count() / 1000, patience.count() % 1000 * 1'000'000};
  header.sleepers.fetch_add(1, std::memory_order_seq_cst);
  const auto rc = futex(header.bell, FUTEX_WAIT, bell, &limit);
  header.sleepers.fetch_sub(1, std::memory_order_seq_cst);
  return rc == 0 || header.head.load(std::memory_order_acquire) != position_;
}

}  // namespace berth::process
