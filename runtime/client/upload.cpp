#include "runtime/client/upload.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/base/unique_fd.hpp"
#include "runtime/client/verbs.hpp"

namespace berth::client {
namespace {

constexpr std::uint64_t piece_bytes = std::uint64_t{4} << 20;

error_info cannot_read(const std::string& file) {
  return fail(kind::failed, "cannot_read", "cannot read " + file + ": " + std::strerror(errno));
}

result<std::vector<std::byte>> read_piece(int fd, std::uint64_t offset, std::uint64_t bytes,
                                          const std::string& file) {
  std::vector<std::byte> piece(bytes);
  std::uint64_t have = 0;
  while (have < bytes) {
    const auto got = ::pread(fd, piece.data() + have, bytes - have, static_cast<off_t>(offset + have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return cannot_read(file);
    if (got == 0) return fail(kind::failed, "file_changed", file + " became shorter while it was sent");
    have += static_cast<std::uint64_t>(got);
  }
  return piece;
}

result<void> upload_one(head_link& to, const local_blob& blob) {
  const base::unique_fd fd(::open(blob.file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return cannot_read(blob.file);
  std::uint64_t offset = 0;
  do {
    const auto bytes = std::min(piece_bytes, blob.content.size - offset);
    auto piece = read_piece(fd.get(), offset, bytes, blob.file);
    if (!piece) return std::move(piece).error();
    verbs::upload what{blob.content.digest.hex(), offset, blob.content.size, *std::move(piece)};
    if (auto held = to.ask<verbs::done>(what); !held) return std::move(held).error().at("while sending " + blob.file);
    offset += bytes;
  } while (offset < blob.content.size);
  return {};
}

}  // namespace

result<local_blob> local_blob::of_file(const std::string& file) {
  struct stat facts {};
  if (::stat(file.c_str(), &facts) != 0) return fail(kind::missing, "no_file", "there is no file " + file);
  auto digest = store::digest_of_file(file);
  if (!digest) return std::move(digest).error();
  return local_blob{{*digest, static_cast<std::uint64_t>(facts.st_size)}, file};
}

result<void> upload_missing(head_link& to, const std::vector<local_blob>& blobs) {
  verbs::blobs_missing asked;
  for (const auto& one : blobs)
    asked.digests.push_back(one.content.digest.hex());
  const auto lacks = to.ask<verbs::blobs>(asked);
  if (!lacks) return lacks.error();
  for (const auto& one : blobs) {
    const auto digest = one.content.digest.hex();
    if (std::find(lacks->digests.begin(), lacks->digests.end(), digest) == lacks->digests.end()) continue;
    if (auto sent = upload_one(to, one); !sent) return sent;
  }
  return {};
}

}  // namespace berth::client
