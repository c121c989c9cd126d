#pragma once
// Blob store: what a node holds of modules, libraries, bound arguments and files, each under its digest.
//
// A blob is either absent or complete and verified. It becomes visible by one rename after its bytes were synced, so
// neither a crash nor a second uploader can show half of it. Uploads resume where they broke off. What somebody uses
// is leased; `collect` removes the rest of what its caller no longer names.

#include "runtime/base/unique_fd.hpp"
#include "runtime/store/digest.hpp"

#include <berth/error.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace berth::store {

/// The system calls that fail when a disk is full or broken; a double stands in for them in tests.
class disk {
 public:
  virtual ~disk() = default;

  /// As pwrite(2): bytes written, or -1 with errno.
  virtual long write(int fd, std::span<const std::byte> bytes, std::uint64_t offset);

  /// As fdatasync(2).
  virtual int sync(int fd);
};

struct blob_store_options {
  std::uint64_t blob_bytes_max = std::uint64_t{16}
                                 << 30;  ///< larger uploads are refused before a byte is written
};

/// How far an upload has come.
struct upload_state {
  std::uint64_t received = 0;  ///< the next piece starts here
  bool complete = false;
};

class blob_store;

/// Keeps one blob from being collected while it lives. A resource: moves. It must not outlive its store.
class lease {
 public:
  lease() = default;
  lease(lease&& other) noexcept;
  lease& operator=(lease&& other) noexcept;
  ~lease();

 private:
  friend class blob_store;

  lease(blob_store* store, digest held) : store_(store), held_(held) {}

  blob_store* store_ = nullptr;
  digest held_;
};

/// A resource; the folder belongs to it alone. Threads: safe; uploads of different blobs run side by side.
class blob_store {
 public:
  /// Opens or makes the folder (0700). Partial uploads of an earlier process stay and can be resumed.
  /// Errors: `failed` with the system's reason.
  [[nodiscard]] static result<std::unique_ptr<blob_store>> open(std::filesystem::path folder,
                                                                blob_store_options options = {});
  [[nodiscard]] static result<std::unique_ptr<blob_store>> open(std::filesystem::path folder,
                                                                blob_store_options options,
                                                                std::unique_ptr<disk> through);

  [[nodiscard]] bool has(const digest& which) const;

  /// Of `wanted`, those that are not held, in order and once each.
  [[nodiscard]] std::vector<digest> missing(std::span<const digest> wanted) const;

  /// Stores bytes and returns their digest; cheap when they are held already.
  /// Errors: `failed` with code `disk_full` when there is no room (nothing is left behind), else the system's reason.
  [[nodiscard]] result<digest> put(std::span<const std::byte> bytes);

  /// Takes the piece at `offset` of a blob of `total` bytes. The piece that completes it is followed by the check
  /// of the digest, a sync and the rename.
  /// Errors: `invalid`: the whole does not have this digest (the upload starts anew), a piece reaches beyond `total`,
  /// or `total` is above the limit; `conflict`: the next piece starts elsewhere (the message says where);
  /// `failed` with `disk_full` as `put` (what was received stays and can be resumed).
  [[nodiscard]] result<upload_state> upload(const digest& which,
                                            std::uint64_t offset,
                                            std::uint64_t total,
                                            std::span<const std::byte> piece);

  /// Where an interrupted upload goes on.
  [[nodiscard]] upload_state progress(const digest& which) const;

  /// Opens a blob for reading. Errors: `missing`.
  [[nodiscard]] result<base::unique_fd> open_blob(const digest& which) const;

  /// Reads a whole blob. Errors: `missing`; `invalid` when it is larger than `bytes_max`.
  [[nodiscard]] result<std::vector<std::byte>> read(const digest& which,
                                                    std::uint64_t bytes_max) const;

  [[nodiscard]] std::filesystem::path path_of(const digest& which) const;

  /// Protects a blob, held or still to come, from `collect`. Take it before the upload.
  [[nodiscard]] lease hold(const digest& which);

  /// Removes every blob and every partial upload that is neither in `keep` nor leased. Returns the bytes freed.
  std::uint64_t collect(const std::set<digest>& keep);

 private:
  friend class lease;
  blob_store(std::filesystem::path folder,
             blob_store_options options,
             std::unique_ptr<disk> through);

  void let_go(const digest& which);
  [[nodiscard]] std::filesystem::path partial_of(const digest& which) const;
  [[nodiscard]] result<void> write_all(int fd,
                                       std::span<const std::byte> bytes,
                                       std::uint64_t offset);
  [[nodiscard]] result<void> complete(const digest& which, int fd);
  [[nodiscard]] std::shared_ptr<std::mutex> upload_turn(const digest& which);

  const std::filesystem::path folder_;
  const blob_store_options options_;
  const std::unique_ptr<disk> disk_;
  mutable std::mutex mutex_;
  std::map<digest, std::uint32_t> leased_;
  std::map<digest, std::weak_ptr<std::mutex>> turns_;
};

}  // namespace berth::store
