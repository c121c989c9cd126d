#include "runtime/store/blob_store.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace berth::store {

namespace fs = std::filesystem;

namespace {

error_info system_failure(int why, const std::string& doing) {
  if (why == ENOSPC || why == EDQUOT)
    return fail(kind::failed, "disk_full",
                doing + ": no space left on the disk; free some or move the folder, then retry");
  return fail(kind::failed, "disk_failed", doing + ": " + std::strerror(why));
}

std::uint64_t size_of(int fd) {
  struct stat s {};

  return ::fstat(fd, &s) == 0 && s.st_size > 0 ? static_cast<std::uint64_t>(s.st_size) : 0;
}

result<void> make_folder(const fs::path& folder) {
  std::error_code why;
  fs::create_directories(folder, why);
  if (why) return fail(kind::failed, "disk_failed", folder.string() + ": " + why.message());
  return {};
}

void sync_folder(const fs::path& folder) {
  const base::unique_fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd) ::fsync(fd.get());
}

std::uint64_t remove_file(const fs::path& file) {
  std::error_code why;
  const auto size = fs::file_size(file, why);
  return fs::remove(file, why) && !why ? size : 0;
}

}  // namespace

long disk::write(int fd, std::span<const std::byte> bytes, std::uint64_t offset) {
  return ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
}

int disk::sync(int fd) {
  return ::fdatasync(fd);
}

lease::lease(lease&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)), held_(other.held_) {}

lease& lease::operator=(lease&& other) noexcept {
  if (this != &other) {
    if (store_) store_->let_go(held_);
    store_ = std::exchange(other.store_, nullptr);
    held_ = other.held_;
  }
  return *this;
}

lease::~lease() {
  if (store_) store_->let_go(held_);
}

result<std::unique_ptr<blob_store>> blob_store::open(fs::path folder, blob_store_options options) {
  return open(std::move(folder), options, std::make_unique<disk>());
}

result<std::unique_ptr<blob_store>> blob_store::open(fs::path folder,
                                                     blob_store_options options,
                                                     std::unique_ptr<disk> through) {
  for (const auto* part : {"blobs", "partial"})
    if (auto made = make_folder(folder / part); !made)
      return std::move(made.error()).at("while opening the store of modules");
  std::error_code why;
  fs::permissions(folder, fs::perms::owner_all, why);
  if (why) return fail(kind::failed, "disk_failed", folder.string() + ": " + why.message());
  return std::unique_ptr<blob_store>(
      new blob_store(std::move(folder), options, std::move(through)));
}

blob_store::blob_store(fs::path folder, blob_store_options options, std::unique_ptr<disk> through)
    : folder_(std::move(folder)), options_(options), disk_(std::move(through)) {}

fs::path blob_store::path_of(const digest& which) const {
  const auto hex = which.hex();
  return folder_ / "blobs" / hex.substr(0, 2) / hex;
}

fs::path blob_store::partial_of(const digest& which) const {
  return folder_ / "partial" / which.hex();
}

bool blob_store::has(const digest& which) const {
  return ::access(path_of(which).c_str(), R_OK) == 0;
}

std::vector<digest> blob_store::missing(std::span<const digest> wanted) const {
  std::vector<digest> absent;
  std::set<digest> seen;
  for (const auto& one : wanted)
    if (seen.insert(one).second && !has(one)) absent.push_back(one);
  return absent;
}

result<digest> blob_store::put(std::span<const std::byte> bytes) {
  const auto name = digest_of(bytes);
  const auto turn = upload_turn(name);
  const std::scoped_lock lock(*turn);
  if (has(name)) return name;
  if (bytes.size() > options_.blob_bytes_max)
    return fail(kind::invalid, "blob_too_large",
                "a blob may have " + std::to_string(options_.blob_bytes_max) + " bytes, this has "
                    + std::to_string(bytes.size()));
  const auto file = partial_of(name);
  const base::unique_fd fd(
      ::open(file.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return system_failure(errno, "writing " + file.string());
  auto written = write_all(fd.get(), bytes, 0);
  if (written) written = complete(name, fd.get());
  if (!written) {
    remove_file(file);
    return std::move(written.error());
  }
  return name;
}

result<upload_state> blob_store::upload(const digest& which,
                                        std::uint64_t offset,
                                        std::uint64_t total,
                                        std::span<const std::byte> piece) {
  if (total > options_.blob_bytes_max)
    return fail(kind::invalid, "blob_too_large",
                "a blob may have " + std::to_string(options_.blob_bytes_max) + " bytes, this has "
                    + std::to_string(total));
  if (offset > total || piece.size() > total - offset)
    return fail(kind::invalid, "piece_too_long",
                "the piece at " + std::to_string(offset) + " reaches beyond the blob's "
                    + std::to_string(total) + " bytes");
  const auto turn = upload_turn(which);
  const std::scoped_lock lock(*turn);
  if (has(which)) return upload_state{total, true};
  const auto file = partial_of(which);
  const base::unique_fd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return system_failure(errno, "writing " + file.string());
  const auto received = size_of(fd.get());
  if (offset != received)
    return fail(kind::conflict, "wrong_offset",
                "the upload of " + which.hex().substr(0, 12) + " goes on at "
                    + std::to_string(received) + ", not at " + std::to_string(offset));
  if (auto written = write_all(fd.get(), piece, offset); !written)
    return std::move(written.error());
  const upload_state state{offset + piece.size(), offset + piece.size() == total};
  if (!state.complete) return state;
  const auto whole = digest_of_file(fd.get());
  if (!whole) return whole.error();
  if (*whole != which) {
    remove_file(file);
    return fail(
        kind::invalid, "wrong_digest",
        "the bytes received have digest " + whole->hex() + ", announced was " + which.hex());
  }
  if (auto done = complete(which, fd.get()); !done) return std::move(done.error());
  return state;
}

upload_state blob_store::progress(const digest& which) const {
  std::error_code why;
  if (has(which)) {
    const auto size = fs::file_size(path_of(which), why);
    return {why ? 0 : size, true};
  }
  const auto size = fs::file_size(partial_of(which), why);
  return {why ? 0 : size, false};
}

result<base::unique_fd> blob_store::open_blob(const digest& which) const {
  base::unique_fd fd(::open(path_of(which).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd)
    return fail(errno == ENOENT ? kind::missing : kind::failed, "no_such_blob",
                "sha256:" + which.hex() + " is not held here: " + std::strerror(errno));
  return fd;
}

result<std::vector<std::byte>> blob_store::read(const digest& which,
                                                std::uint64_t bytes_max) const {
  auto fd = open_blob(which);
  if (!fd) return std::move(fd.error());
  const auto size = size_of(fd->get());
  if (size > bytes_max)
    return fail(kind::invalid, "blob_too_large",
                "sha256:" + which.hex() + " has " + std::to_string(size) + " bytes, allowed are "
                    + std::to_string(bytes_max));
  std::vector<std::byte> bytes(size);
  std::uint64_t at = 0;
  while (at < size) {
    const auto n = ::pread(fd->get(), bytes.data() + at, size - at, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return system_failure(n < 0 ? errno : EIO, "reading sha256:" + which.hex());
    at += static_cast<std::uint64_t>(n);
  }
  return bytes;
}

lease blob_store::hold(const digest& which) {
  const std::scoped_lock lock(mutex_);
  ++leased_[which];
  return {this, which};
}

void blob_store::let_go(const digest& which) {
  const std::scoped_lock lock(mutex_);
  const auto at = leased_.find(which);
  if (at != leased_.end() && --at->second == 0) leased_.erase(at);
}

std::uint64_t blob_store::collect(const std::set<digest>& keep) {
  const std::scoped_lock lock(mutex_);
  std::uint64_t freed = 0;
  std::error_code why;
  for (const auto* part : {"blobs", "partial"})
    for (fs::recursive_directory_iterator at(folder_ / part, why), end; !why && at != end;
         at.increment(why)) {
      const auto name = digest::from_hex(at->path().filename().string());
      if (!name || keep.contains(*name) || leased_.contains(*name)) continue;
      freed += remove_file(at->path());
    }
  return freed;
}

result<void> blob_store::write_all(int fd, std::span<const std::byte> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const auto n = disk_->write(fd, bytes, offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      return system_failure(n < 0 ? errno : ENOSPC, "storing a blob in " + folder_.string());
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

// The bytes are verified; from here on a crash leaves the partial file or the whole blob.
result<void> blob_store::complete(const digest& which, int fd) {
  if (disk_->sync(fd) != 0) return system_failure(errno, "syncing a blob in " + folder_.string());
  const auto target = path_of(which);
  if (auto made = make_folder(target.parent_path()); !made) return made;
  if (::fchmod(fd, 0500) != 0 || ::rename(partial_of(which).c_str(), target.c_str()) != 0)
    return system_failure(errno, "placing " + target.string());
  sync_folder(target.parent_path());
  return {};
}

// Two uploaders of one blob take turns; those of different blobs do not meet.
std::shared_ptr<std::mutex> blob_store::upload_turn(const digest& which) {
  const std::scoped_lock lock(mutex_);
  std::erase_if(turns_, [](const auto& one) { return one.second.expired(); });
  auto& slot = turns_[which];
  auto turn = slot.lock();
  if (!turn) slot = turn = std::make_shared<std::mutex>();
  return turn;
}

}  // namespace berth::store
