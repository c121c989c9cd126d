#pragma once
// Bytes and who owns them.
//
// A small payload is copied; a large one travels by reference. `memory` is the owner behind such a reference: heap
// for what a decoder made, a shared segment for what a lane mapped or `shared_tensor` created. The codec knows only
// this interface, so a tensor made in shared memory reaches the lane, and a mapped one the function, without a copy.

#include <berth/error.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace berth {

/// Bytes without a meaning of their own; JSON `{"base64": "…"}`, `@file` in the shell. A value.
using bytes = std::vector<std::byte>;

/// Owner of one piece of memory. A resource: held by `shared_ptr`, never copied.
///
/// Threads: const members may be called concurrently; writing through `data()` is for the one who made it, until
/// `freeze()`.
class BERTH_API memory {
 public:
  memory() = default;
  memory(const memory&) = delete;
  memory& operator=(const memory&) = delete;
  virtual ~memory();

  /// First byte, aligned for every fundamental type; stable for the life of the owner.
  [[nodiscard]] virtual std::byte* data() const noexcept = 0;
  /// Size in bytes.
  [[nodiscard]] virtual std::uint64_t size() const noexcept = 0;

  /// Descriptor of the shared segment whose bytes start at `data()`, or -1 for private memory. Stays owned here.
  [[nodiscard]] virtual int segment() const noexcept { return -1; }

  /// Ends writing: called when the bytes are sent by reference. Idempotent.
  virtual void freeze() noexcept {}

  /// Whether writing has ended (sent, or mapped read-only).
  [[nodiscard]] virtual bool frozen() const noexcept { return false; }
};

/// Zeroed private memory of `size` bytes. Throws `std::bad_alloc`.
[[nodiscard]] BERTH_API std::shared_ptr<memory> heap_memory(std::uint64_t size);

/// A payload that travels beside its block. Without an owner, `data` is borrowed: a writer's from its arguments, a
/// reader's from the frame. With one, holding `owner` keeps `data` alive.
struct external {
  const std::byte* data = nullptr;
  std::uint64_t bytes = 0;
  std::shared_ptr<memory> owner;
};

/// An encoded value as its reader finds it: the hot block (8-aligned, private to the reader) and its externals.
struct block_view {
  std::span<const std::byte> block;
  std::span<const external> externals;
};

}  // namespace berth
