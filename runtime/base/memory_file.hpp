#pragma once
// Memory files: anonymous shared memory (memfd), sealed, and the distrust a received one deserves.
//
// There are no names in shared memory here, hence nothing that could be left over or found by a stranger.

#include "runtime/base/unique_fd.hpp"

#include <berth/error.hpp>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace berth::base {

/// What nobody can do any more with the file.
enum class sealing : std::uint8_t {
  size,              ///< grow or shrink it (rings: both sides write)
  size_and_writing,  ///< nor map it writable anew (segments: only the mapping its owner has already)
};

/// One shared mapping of a memory file. A resource.
class mapping {
 public:
  mapping() noexcept = default;

  mapping(std::byte* data, std::uint64_t size) noexcept : data_(data), size_(size) {}

  mapping(mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

  mapping& operator=(mapping&& other) noexcept;
  mapping(const mapping&) = delete;
  mapping& operator=(const mapping&) = delete;
  ~mapping();

  [[nodiscard]] std::byte* data() const noexcept { return data_; }

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::uint64_t size_ = 0;
};

struct memory_file {
  unique_fd fd;
  mapping memory;  ///< writable, not inherited by fork
};

/// Makes a memory file of `bytes` (a multiple of the page size) with all pages allocated, maps it writable, seals it.
/// Errors: `overloaded` (memory, descriptors or mappings are out), `failed` (this system has no memory files).
[[nodiscard]] result<memory_file> make_memory_file(const char* name,
                                                   std::uint64_t bytes,
                                                   sealing how);

enum class access : std::uint8_t { read, read_write };

/// Maps a descriptor that somebody sent, after checking that it is a memory file of exactly `bytes` with the seals of
/// `how`. Errors: `invalid` (it is not), `overloaded` (it cannot be mapped).
[[nodiscard]] result<mapping> map_memory_file(int fd, std::uint64_t bytes, sealing how, access as);

/// `bytes` rounded up to whole pages.
[[nodiscard]] std::uint64_t whole_pages(std::uint64_t bytes) noexcept;

}  // namespace berth::base
