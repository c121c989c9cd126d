#pragma once
// File mapping: the bytes of a file, read where the page cache has them.

#include <berth/error.hpp>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <utility>

namespace berth::module {

/// A read-only private mapping of a whole file. A resource. Whoever can write the file can change what is read.
class file_mapping {
 public:
  /// Errors: `missing` when there is no such file, else `failed`.
  [[nodiscard]] static result<file_mapping> of(const std::filesystem::path& file);
  [[nodiscard]] static result<file_mapping> of(int fd, const std::string& name);

  file_mapping(file_mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

  file_mapping& operator=(file_mapping&&) = delete;
  ~file_mapping();

  [[nodiscard]] std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(data_), size_};
  }

 private:
  file_mapping(void* data, std::size_t size) : data_(data), size_(size) {}

  void* data_;
  std::size_t size_;
};

}  // namespace berth::module
