#pragma once
// Messages: a received frame, copied out of the lane before anybody looks at it.

#include "runtime/base/segment.hpp"
#include "runtime/net/frame.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace berth::net {

/// Bytes of a received body, 16-aligned. Small ones lie inside, so that a warm call allocates nothing; larger ones come
/// from a pool of the receiving thread. A value that moves; moving copies what lies inside.
class body_bytes {
 public:
  static constexpr std::size_t inline_bytes = 192;

  body_bytes() noexcept = default;

  body_bytes(body_bytes&& other) noexcept { take(other); }

  body_bytes& operator=(body_bytes&& other) noexcept {
    if (this != &other) {
      clear();
      take(other);
    }
    return *this;
  }

  body_bytes(const body_bytes&) = delete;
  body_bytes& operator=(const body_bytes&) = delete;

  ~body_bytes() { clear(); }

  /// Room for `size` bytes whose content is undefined; what was there is gone.
  /// Throws std::bad_alloc when memory is out.
  std::byte* reset(std::size_t size) {
    if (size > (heap_ != nullptr ? room_ : inline_bytes)) [[unlikely]]
      grow(size);
    size_ = size;
    return data();
  }

  /// Shortens to `size` bytes.
  void shrink(std::size_t size) noexcept { size_ = size < size_ ? size : size_; }

  void clear() noexcept {
    size_ = 0;
    if (heap_ != nullptr) free_heap();
  }

  [[nodiscard]] std::byte* data() noexcept { return heap_ != nullptr ? heap_ : inline_; }

  [[nodiscard]] const std::byte* data() const noexcept {
    return heap_ != nullptr ? heap_ : inline_;
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data(), size_}; }

 private:
  void grow(std::size_t size);
  void free_heap() noexcept;

  void take(body_bytes& other) noexcept {
    heap_ = std::exchange(other.heap_, nullptr);
    room_ = std::exchange(other.room_, 0);
    size_ = std::exchange(other.size_, 0);
    if (heap_ == nullptr && size_ != 0) std::memcpy(inline_, other.inline_, size_);
  }

  std::byte* heap_ = nullptr;
  std::size_t room_ = 0;
  std::size_t size_ = 0;
  alignas(16) std::byte inline_[inline_bytes];
};

/// A frame that somebody keeps: header, body (without the table of externals), external payloads.
struct message {
  frame_header header;
  body_bytes body;
  std::vector<base::external> externals;
};

/// A frame that somebody looks at during one function; copy what must last (externals by copying the struct).
struct message_view {
  frame_header header;
  std::span<const std::byte> body;
  std::span<const base::external> externals;
};

}  // namespace berth::net
