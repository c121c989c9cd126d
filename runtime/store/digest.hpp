#pragma once
// Digest: the name of bytes by their content.

#include <array>
#include <berth/error.hpp>
#include <compare>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace berth::store {

/// SHA-256 of some bytes. A value; its text is 64 lower-case hex digits.
struct digest {
  std::array<std::byte, 32> bytes{};

  [[nodiscard]] std::string hex() const;

  /// Reads 64 hex digits of either case. Errors: `invalid` for anything else.
  [[nodiscard]] static result<digest> from_hex(std::string_view text);

  friend auto operator<=>(const digest&, const digest&) = default;
};

/// Hashes bytes that come piece by piece. A resource: moves, does not copy. Threads: one at a time.
/// Cost: OpenSSL's EVP, about 0.5 GB/s without and 1.5 GB/s with SHA instructions; the first hasher of a process
/// loads OpenSSL's context (some milliseconds).
class hasher {
 public:
  hasher();
  hasher(hasher&&) noexcept;
  hasher& operator=(hasher&&) noexcept;
  ~hasher();

  void add(std::span<const std::byte> bytes);
  void add(std::string_view text);

  /// The digest of all that was added; the hasher starts afresh.
  [[nodiscard]] digest finish();

 private:
  struct context_end {
    void operator()(void* context) const noexcept;
  };

  std::unique_ptr<void, context_end> context_;
};

[[nodiscard]] digest digest_of(std::span<const std::byte> bytes);
[[nodiscard]] digest digest_of(std::string_view text);

/// Digest of everything an open file holds, read from its start; the file's position does not move.
/// Errors: `failed` with the system's reason.
[[nodiscard]] result<digest> digest_of_file(int fd);

/// Errors: `missing` when there is no such file, else `failed`.
[[nodiscard]] result<digest> digest_of_file(const std::string& path);

}  // namespace berth::store
