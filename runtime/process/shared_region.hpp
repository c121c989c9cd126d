#pragma once
// Shared region: memory two processes map, made by one of them, that survives the death of either.
//
// It is an anonymous file (memfd): it has no name, so nothing is left behind, and its size is sealed, so that neither
// side can shrink it under the other. Maps are not inherited by fork: a grandchild of a worker must not write into
// what its parent shares. Where the system gives no memfd it is an unlinked file without seals.

#include "runtime/base/unique_fd.hpp"

#include <berth/error.hpp>
#include <cstddef>
#include <string>

namespace berth::process {

/// A resource: one mapping and the descriptor it was made from.
class shared_region {
 public:
  enum class access { read_write, read_only };

  shared_region() = default;
  shared_region(shared_region&& other) noexcept;
  shared_region& operator=(shared_region&& other) noexcept;
  ~shared_region();

  /// Makes a zeroed region of `bytes`, sealed against growing and shrinking. Pages are charged when touched.
  /// Errors: `failed` with the system's reason (no memory).
  static result<shared_region> make(const std::string& name, std::size_t bytes);

  /// Maps what another process made. Errors: `invalid` when the descriptor is no sealed memfd (although this system has
  /// some) or holds less than `bytes_min`.
  static result<shared_region> map(base::unique_fd fd,
                                   std::size_t bytes_min,
                                   access how = access::read_write);

  [[nodiscard]] std::byte* data() const noexcept { return data_; }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// For handing the region to another process; stays owned here.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

 private:
  base::unique_fd fd_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace berth::process
