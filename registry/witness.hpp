#pragma once
// Witness: a second, tiny file beside the database that knows how far it got.
//
// A damaged write-ahead log makes SQLite open an older state and call it sound: all of 300 random bit flips in the
// log of 200 commits did, with a median of 115 acknowledged commits gone. The witness holds the last revision and
// the digest of the chain up to it, synced with each commit, and is compared at open.

#include <array>
#include <berth/error.hpp>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>

namespace berth::registry {

/// SHA-256 of a change row and, through the digest before it, of all rows up to it.
using chain_digest = std::array<std::byte, 32>;

struct witness {
  std::uint64_t revision = 0;
  chain_digest digest{};
  friend bool operator==(const witness&, const witness&) = default;
};

/// The file with its descriptor; one owner. Two slots are written in turn, each with its own check sum, so that a
/// torn write leaves the one before.
class witness_file {
 public:
  /// Opens or makes the file. Errors: `failed` (io) with the path.
  [[nodiscard]] static result<witness_file> open(const std::filesystem::path& path);
  witness_file(witness_file&& other) noexcept;
  witness_file& operator=(witness_file&& other) noexcept;
  ~witness_file();

  /// The newest slot that is whole; nothing in a new file. Errors: `failed` (witness_damaged) when none is whole.
  [[nodiscard]] result<std::optional<witness>> read() const;
  /// Durable when it returns. Errors: `overloaded` (storage_full), `failed` (io).
  [[nodiscard]] result<void> write(const witness& what);

 private:
  explicit witness_file(int fd) : fd_(fd) {}

  int fd_ = -1;
};

}  // namespace berth::registry
