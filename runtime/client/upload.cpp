#include "runtime/client/upload.hpp"

#include "runtime/base/unique_fd.hpp"
#include "runtime/client/verbs.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

namespace berth::client {
namespace {

constexpr std::uint64_t piece_bytes = std::uint64_t{4} << 20;

error_info cannot_read(const std::string& file) {
  return fail(kind::failed, "cannot_read", "cannot read " + file + ": " + std::strerror(errno));
}

result<std::vector<std::byte>> read_piece(int fd,
                                          std::uint64_t offset,
                                          std::uint64_t bytes,
                                          const std::string& file) {
  std::vector<std::byte> piece(bytes);
  std::uint64_t have = 0;
  while (have < bytes) {
    const auto got =
        ::pread(fd, piece.data() + have, bytes - have, static_cast<off_t>(offset + have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return cannot_read(file);
    if (got == 0)
      return fail(kind::failed, "file_changed", file + " became shorter while it was sent");
    have += static_cast<std::uint64_t>(got);
  }
  return piece;
}

/// A piece of a blob, wherever its bytes are.
class blob_reader {
 public:
  explicit blob_reader(const module::blob_origin& from) : from_(from) {
    if (!from.file.empty()) fd_.reset(::open(from.file.c_str(), O_RDONLY | O_CLOEXEC));
  }

  [[nodiscard]] result<std::vector<std::byte>> piece(std::uint64_t offset,
                                                     std::uint64_t bytes) const {
    if (from_.file.empty()) {
      const auto* first = reinterpret_cast<const std::byte*>(from_.bytes.data()) + offset;
      return std::vector<std::byte>(first, first + bytes);
    }
    if (!fd_) return cannot_read(from_.file);
    return read_piece(fd_.get(), offset, bytes, from_.file);
  }

 private:
  const module::blob_origin& from_;
  base::unique_fd fd_;
};

result<void> upload_one(head_link& to,
                        const module::blob_origin& blob,
                        const module::progress_listener& progress) {
  const blob_reader reader(blob);
  std::uint64_t offset = 0;
  do {
    const auto bytes = std::min(piece_bytes, blob.content.size - offset);
    auto piece = reader.piece(offset, bytes);
    if (!piece) return std::move(piece).error();
    verbs::upload what{blob.content.digest.hex(), offset, blob.content.size, *std::move(piece)};
    if (auto held = to.ask<verbs::done>(what); !held)
      return std::move(held).error().at("while sending " + blob.file.string());
    offset += bytes;
    if (progress)
      progress("uploading " + (blob.file.empty() ? "a value" : blob.file.filename().string()) + ": "
               + std::to_string(offset >> 20) + " of " + std::to_string(blob.content.size >> 20)
               + " MiB");
  } while (offset < blob.content.size);
  return {};
}

}  // namespace

result<void> upload_missing(head_link& to,
                            const std::vector<module::blob_origin>& blobs,
                            const module::progress_listener& progress) {
  verbs::blobs_missing asked;
  for (const auto& one : blobs)
    asked.digests.push_back(one.content.digest.hex());
  const auto lacks = to.ask<verbs::blobs>(asked);
  if (!lacks) return lacks.error();
  for (const auto& one : blobs) {
    const auto digest = one.content.digest.hex();
    if (std::find(lacks->digests.begin(), lacks->digests.end(), digest) == lacks->digests.end())
      continue;
    if (auto sent = upload_one(to, one, progress); !sent) return sent;
  }
  return {};
}

}  // namespace berth::client
