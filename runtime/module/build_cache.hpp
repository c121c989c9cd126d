#pragma once
// Build cache: what a build made, for as long as everything it read stays as it was.
//
// A key stands for what is known before a build (compiler, flags, sources' bytes), a record for what is known after it:
// every file that was read, with size, times and digest, and the file that came out. A lookup compares the times and,
// only where they differ, the bytes. The folder may be deleted at any moment; a damaged record is no record.

#include "runtime/store/digest.hpp"

#include <berth/error.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace berth::module {

/// What the file system says of a file: equal means untouched.
struct file_stamp {
  std::uint64_t bytes = 0;
  std::int64_t modified_ns = 0;  ///< of the content
  std::int64_t changed_ns = 0;   ///< of the inode; nobody can set it back

  friend bool operator==(const file_stamp&, const file_stamp&) = default;
};

[[nodiscard]] std::optional<file_stamp> stamp_of(const std::filesystem::path& file);

/// What lies in the cache under a key.
struct kept_build {
  std::filesystem::path artifact;
  std::vector<std::filesystem::path> read;  ///< every file it was made from
};

/// Threads: safe, also across processes; records and artifacts appear by rename.
class build_cache {
 public:
  /// Creates the folder (0700) on first use.
  explicit build_cache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

  /// What was made under `key`, if all it was made from is as it was and it lies there whole.
  [[nodiscard]] std::optional<kept_build> find(const store::digest& key) const;

  /// Moves `made` (in this cache's folder or on the same disk) into the cache and records what it was made from.
  /// Something that changed after `began_ns` (system clock) may not be what the build read: then the artifact is
  /// kept but not recorded. Returns where the artifact lies. Errors: `failed`.
  [[nodiscard]] result<std::filesystem::path> add(const store::digest& key,
                                                  const std::vector<std::filesystem::path>& read,
                                                  const std::filesystem::path& made,
                                                  std::int64_t began_ns) const;

  /// A fresh private folder for one build's intermediate files; the caller removes it. Errors: `failed`.
  [[nodiscard]] result<std::filesystem::path> scratch() const;

 private:
  [[nodiscard]] std::filesystem::path record_of(const store::digest& key) const;

  std::filesystem::path folder_;
};

/// Now, by the clock file times are taken from.
[[nodiscard]] std::int64_t file_clock_ns();

/// The files a compiler's dependency file names (Makefile syntax), without the target.
[[nodiscard]] std::vector<std::filesystem::path> read_dependencies(
    const std::filesystem::path& dependency_file, const std::filesystem::path& relative_to);

}  // namespace berth::module
