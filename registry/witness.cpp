#include "registry/witness.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace berth::registry {
namespace {

/// One slot as it lies in the file, little-endian. Slots are a block apart, so that one torn write hits one slot.
struct slot {
  std::uint64_t revision;
  chain_digest digest;
  std::uint64_t check;
};

static_assert(sizeof(slot) == 48);
constexpr off_t slot_stride = 4096;
constexpr int slots = 2;

std::uint64_t check_of(const slot& s) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  const auto* bytes = reinterpret_cast<const unsigned char*>(&s);
  for (std::size_t i = 0; i < offsetof(slot, check); ++i)
    hash = (hash ^ bytes[i]) * 0x100000001b3ull;
  return hash;
}

error_info io_failed(const char* what) {
  int code = errno;
  if (code == ENOSPC || code == EDQUOT)
    return fail(kind::overloaded, "storage_full",
                "the disk that holds the names is full; free space and retry");
  return fail(kind::failed, "io",
              fmt::format("{} the witness file failed: {}", what, std::strerror(code)));
}

/// Gives both slots their blocks now, so that a full disk never stops a write later.
result<void> allocate(int fd) {
  constexpr off_t whole = slots * slot_stride;
  const std::vector<char> zeros(slot_stride, 0);
  off_t size = ::lseek(fd, 0, SEEK_END);
  if (size >= whole) return {};
  while (size >= 0 && size < whole) {
    auto put = ::pwrite(fd, zeros.data(),
                        static_cast<std::size_t>(std::min(slot_stride, whole - size)), size);
    if (put <= 0) return io_failed("extending");
    size += put;
  }
  if (size < 0 || ::fsync(fd) != 0) return io_failed("syncing");
  return {};
}

}  // namespace

result<witness_file> witness_file::open(const std::filesystem::path& path) {
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return io_failed("opening").at("path " + path.string());
  witness_file file(fd);
  if (auto ok = allocate(fd); !ok) return std::move(ok).error();
  return file;
}

witness_file::witness_file(witness_file&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

witness_file& witness_file::operator=(witness_file&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

witness_file::~witness_file() {
  if (fd_ >= 0) ::close(fd_);
}

result<std::optional<witness>> witness_file::read() const {
  std::optional<witness> newest;
  bool seen = false;
  for (int i = 0; i < slots; ++i) {
    slot s{};
    auto got = ::pread(fd_, &s, sizeof s, i * slot_stride);
    if (got < 0) return io_failed("reading");
    if (got == 0) continue;
    slot empty{};
    if (std::memcmp(&s, &empty, sizeof s) == 0) continue;
    seen = true;
    if (got != sizeof s || s.check != check_of(s)) continue;
    if (!newest || s.revision > newest->revision) newest = witness{s.revision, s.digest};
  }
  if (seen && !newest)
    return fail(kind::failed, "witness_damaged",
                "the witness file beside the names database is damaged in both slots");
  return newest;
}

result<void> witness_file::write(const witness& what) {
  slot s{what.revision, what.digest, 0};
  s.check = check_of(s);
  off_t at = static_cast<off_t>(what.revision % slots) * slot_stride;
  auto put = ::pwrite(fd_, &s, sizeof s, at);
  if (put != sizeof s) return io_failed("writing");
  if (::fdatasync(fd_) != 0) return io_failed("syncing");
  return {};
}

}  // namespace berth::registry
