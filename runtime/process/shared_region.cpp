#include "runtime/process/shared_region.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <utility>

namespace berth::process {
namespace {

constexpr int size_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

error_info refused(const std::string& what) {
  return fail(kind::failed, "shared_memory", what + ": " + std::strerror(errno));
}

base::unique_fd make_memfd(const std::string& name) {
#ifdef MFD_NOEXEC_SEAL
  constexpr unsigned no_exec = MFD_NOEXEC_SEAL;
#else
  constexpr unsigned no_exec = 0x0008U;  // linux/memfd.h since 6.3
#endif
  base::unique_fd fd(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING | no_exec));
  if (!fd && errno == EINVAL)  // an older kernel
    fd.reset(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  return fd;
}

bool memory_files_are_to_be_had() {
  return static_cast<bool>(make_memfd("berth-probe"));
}

// Where the system gives no memfd, a file without a name comes closest. It has no seals: its maker trusts the program
// it is given to, which lets go of the descriptor before a stranger's code runs in it.
base::unique_fd make_nameless_file(std::string& tried) {
  for (const char* folder : {"/dev/shm", "/tmp"}) {
    base::unique_fd fd(::open(folder, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600));
    if (fd) return fd;
    tried += std::string(tried.empty() ? "" : ", ") + folder + ": " + std::strerror(errno);
  }
  return {};
}

}  // namespace

shared_region::shared_region(shared_region&& other) noexcept
    : fd_(std::move(other.fd_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

shared_region& shared_region::operator=(shared_region&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

shared_region::~shared_region() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

result<shared_region> shared_region::make(const std::string& name, std::size_t bytes) {
  auto fd = make_memfd(name);
  const bool sealable = static_cast<bool>(fd);
  if (!sealable && errno != ENOSYS && errno != EPERM && errno != EACCES)
    return refused("no memfd to be had");
  if (std::string tried; !sealable && !(fd = make_nameless_file(tried)))
    return fail(kind::failed, "shared_memory",
                "neither a memfd nor a file for memory (" + tried + ")");
  if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) return refused("sizing shared memory");
  if (sealable && ::fcntl(fd.get(), F_ADD_SEALS, size_seals) != 0)
    return refused("sealing a memfd");
  const int kept = fd.get();
  auto region = map(base::unique_fd(::fcntl(kept, F_DUPFD_CLOEXEC, 0)), bytes);
  if (region) region->fd_ = std::move(fd);
  return region;
}

result<shared_region> shared_region::map(base::unique_fd fd, std::size_t bytes_min, access how) {
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  const bool sealed = seals >= 0 && (seals & size_seals) == size_seals;
  if (!sealed && memory_files_are_to_be_had())
    return fail(kind::invalid, "not_sealed",
                "a descriptor that should be shared memory is no size-sealed memfd");

  struct stat facts {};

  if (::fstat(fd.get(), &facts) != 0 || static_cast<std::size_t>(facts.st_size) < bytes_min)
    return fail(kind::invalid, "too_short", "shared memory is shorter than what it should hold");
  shared_region region;
  region.size_ = static_cast<std::size_t>(facts.st_size);
  const int rights = how == access::read_only ? PROT_READ : PROT_READ | PROT_WRITE;
  void* at = ::mmap(nullptr, region.size_, rights, MAP_SHARED, fd.get(), 0);
  if (at == MAP_FAILED) return refused("mapping shared memory");
  region.data_ = static_cast<std::byte*>(at);
  if (sealed) region.fd_ = std::move(fd);
  ::madvise(at, region.size_, MADV_DONTFORK);
  return region;
}

}  // namespace berth::process
