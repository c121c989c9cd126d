#pragma once
// Log ring: the last lines a worker wrote, in memory that outlives it.
//
// The worker appends and never waits: old lines are overwritten. Who reads too slowly loses lines and learns how many;
// a service is never held back by the reader of its log. After a crash the node reads the last lines for the report.
// Lines are bytes as the program wrote them: making control characters harmless is the printer's work.

#include "runtime/base/unique_fd.hpp"
#include "runtime/process/shared_region.hpp"

#include <atomic>
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

/// Longer lines are cut into several, each but the last marked `open`.
constexpr std::size_t log_line_bytes_max = 4096;
/// A ring's default: about 2,500 lines of 80 characters.
constexpr std::size_t log_ring_bytes = 256 * 1024;

/// Which call a line belongs to; zeros when that is not known.
struct call_tag {
  std::uint64_t link = 0;
  std::uint64_t call = 0;

  friend bool operator==(const call_tag&, const call_tag&) = default;
};

enum class log_stream : std::uint8_t { out = 1, err = 2 };

/// One line, without its newline. A value.
struct log_line {
  std::uint64_t sequence = 0;                ///< from 1, without gaps in the ring
  std::chrono::system_clock::time_point at;  ///< when it was appended
  call_tag tag;
  log_stream stream = log_stream::out;
  bool open = false;          ///< the line goes on in the next record of this stream
  std::uint64_t skipped = 0;  ///< lines this reader lost just before this one
  std::string text;
};

/// The words of the ring; positions count bytes ever written.
struct log_ring_header;

/// The worker's side. Threads: any.
class log_writer {
 public:
  /// Maps the ring the node handed over. Errors: `invalid` when it is none.
  static result<std::unique_ptr<log_writer>> open(base::unique_fd ring);

  /// Appends one line (≤ `log_line_bytes_max`; the rest is cut off). Cost: a copy; no system call unless a reader
  /// sleeps.
  void append(log_stream stream, call_tag tag, std::string_view text, bool open = false) noexcept;

  /// As `append`, for a fatal signal's handler: does nothing when the lock is held. Safe in a signal handler.
  void append_from_handler(log_stream stream, call_tag tag, std::string_view text) noexcept;

 private:
  explicit log_writer(shared_region region);
  void write(log_stream stream, call_tag tag, std::string_view text, bool open) noexcept;

  shared_region region_;
  log_ring_header* header_;
  std::atomic<std::uint64_t>* words_;
  std::uint64_t capacity_;  // bytes, a power of two
  std::mutex one_at_a_time_;
  std::uint64_t head_ = 0;
  std::uint64_t tail_ = 0;
  std::uint64_t sequence_ = 0;
};

/// The node's side: makes the ring. Each `log_reader` has its own place in it.
class log_ring {
 public:
  /// `bytes` is rounded up to a power of two, at least 32 KiB. Errors: `failed` with the system's reason.
  static result<std::shared_ptr<log_ring>> make(std::size_t bytes = log_ring_bytes);

  [[nodiscard]] int fd() const noexcept { return region_.fd(); }

  /// The last `lines` lines, oldest first.
  [[nodiscard]] std::vector<log_line> last(std::size_t lines) const;

 private:
  friend class log_reader;
  explicit log_ring(shared_region region);

  shared_region region_;
  const log_ring_header* header_;
  const std::atomic<std::uint64_t>* words_;
  std::uint64_t capacity_;
};

/// One reader's place in a ring. Threads: one at a time.
class log_reader {
 public:
  enum class start { oldest, newest };

  log_reader(std::shared_ptr<const log_ring> ring, start from);

  /// The next line if there is one. Lines that were overwritten before they were read are counted in the next line's
  /// `skipped`. What a broken writer left is skipped, never believed.
  [[nodiscard]] std::optional<log_line> next();

  /// Waits until a line may be there or `patience` passed; true for the former.
  bool wait(std::chrono::milliseconds patience) const;

 private:
  std::shared_ptr<const log_ring> ring_;
  std::uint64_t position_ = 0;
  std::uint64_t expected_ = 0;  // sequence; 0: not known yet
};

}  // namespace berth::process
