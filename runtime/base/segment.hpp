#pragma once
// Segments: shared memory that one process writes and others only read.
//
// A segment is an anonymous memory file whose size is sealed and whose write access is sealed for everybody but the
// mapping its owner made at creation (F_SEAL_FUTURE_WRITE): "read only" is decided by the kernel, never by a flag of
// the receiver's. Its pages are allocated at creation, so a full machine is an error there and never a bus error later.

#include "runtime/base/memory_file.hpp"
#include "runtime/base/unique_fd.hpp"

#include <berth/error.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace berth::base {

/// A resource, always held by `std::shared_ptr`: one mapping of one sealed memory file.
class segment {
 public:
  /// Makes a segment of at least `bytes` (rounded up to pages), mapped writable here, sealed for everybody else.
  /// Errors: `overloaded` when memory or descriptors are out; `failed` when the kernel refuses memory files.
  /// Cost: about 0.6 ms a MiB, because every page is allocated; so links keep and reuse the ones they fill.
  [[nodiscard]] static result<std::shared_ptr<segment>> create(std::uint64_t bytes);

  /// Maps a received descriptor read-only after checking type, size and seals; consumes `fd`.
  /// Errors: `invalid` when it is no sealed memory file of `bytes`; `overloaded` when it cannot be mapped.
  [[nodiscard]] static result<std::shared_ptr<segment>> adopt(unique_fd fd, std::uint64_t bytes);

  segment(const segment&) = delete;
  segment& operator=(const segment&) = delete;
  ~segment() = default;

  /// The owner's writable bytes; null in a process that received the segment.
  [[nodiscard]] std::byte* writable() noexcept { return writable_ ? memory_.data() : nullptr; }

  [[nodiscard]] const std::byte* data() const noexcept { return memory_.data(); }

  [[nodiscard]] std::uint64_t size() const noexcept { return memory_.size(); }

  /// The descriptor to send; -1 in a process that received the segment.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  /// Unique in this process, never reused.
  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }

 private:
  segment(unique_fd fd, mapping memory, bool writable);
  unique_fd fd_;
  mapping memory_;
  std::uint64_t id_;
  bool writable_;
};

/// Bytes that travel beside a block. A value: copies share.
///
/// To send, `owner` keeps `bytes` alive (empty: the link copies before it returns), and `shared` names the segment they
/// lie in, if they do (they are then sent without a copy and must not change any more). Received ones have an `owner`;
/// when its last copy goes, the memory returns to the sender.
struct external {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
  std::shared_ptr<const segment> shared;
};

/// From this size on, the data of one tail travels as an external payload (docs/protocol.md).
inline constexpr std::uint64_t external_bytes_min = 64 * 1024;

}  // namespace berth::base
