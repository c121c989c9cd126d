#include "runtime/base/memory_file.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>

namespace berth::base {
namespace {

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
constexpr unsigned noexec_seal = 0x0008;  // MFD_NOEXEC_SEAL, Linux 6.3; older kernels say EINVAL

int seals_of(sealing how) {
  const int size = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  return how == sealing::size ? size : size | F_SEAL_FUTURE_WRITE;
}

error_info refused(const char* what) {
  const int why = errno;
  const bool out = why == ENOMEM || why == ENOSPC || why == EMFILE || why == ENFILE;
  return fail(out ? kind::overloaded : kind::failed, out ? "out_of_memory" : "no_shared_memory",
              std::string(what) + ": " + std::strerror(why));  // NOLINT(concurrency-mt-unsafe)
}

int make_memfd(const char* name) {
  const int fd = ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | noexec_seal);
  if (fd >= 0 || errno != EINVAL) return fd;
  return ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

result<mapping> map(int fd, std::uint64_t bytes, int protection) {
  void* at = ::mmap(nullptr, bytes, protection, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return refused("a shared mapping was refused");
  ::madvise(at, bytes, MADV_DONTFORK);
  return mapping(static_cast<std::byte*>(at), bytes);
}

}  // namespace

mapping& mapping::operator=(mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

mapping::~mapping() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

std::uint64_t whole_pages(std::uint64_t bytes) noexcept {
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

namespace {

constexpr std::uint64_t large_bytes = std::uint64_t{16} << 20;

// What the kernel says can be had without swapping; nothing where it does not say.
std::optional<std::uint64_t> available_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string word;
  std::uint64_t kib = 0;
  while (file >> word) {
    if (word == "MemAvailable:" && file >> kib) return kib * 1024;
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return std::nullopt;
}

}  // namespace

result<memory_file> make_memory_file(const char* name, std::uint64_t bytes, sealing how) {
  // Allocating more than there is would wake the kernel's killer before it gave an error.
  if (bytes >= large_bytes) {
    const auto available = available_bytes();
    if (available && bytes > *available)
      return fail(kind::overloaded, "out_of_memory",
                  "no memory for " + std::to_string(bytes) + " bytes of shared memory");
  }
  unique_fd fd(make_memfd(name));
  if (!fd) return refused("memfd_create failed");
  if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0)
    return refused("sizing shared memory failed");
  if (::fallocate(fd.get(), 0, 0, static_cast<off_t>(bytes)) != 0)
    return refused("allocating shared memory failed");
  auto memory = map(fd.get(), bytes, PROT_READ | PROT_WRITE);
  if (!memory) return std::move(memory).error();
  if (::fcntl(fd.get(), F_ADD_SEALS, seals_of(how)) != 0)
    return refused("sealing shared memory failed");
  return memory_file{std::move(fd), *std::move(memory)};
}

result<mapping> map_memory_file(int fd, std::uint64_t bytes, sealing how, access as) {
  // Seals first: once the size is sealed, what fstat says stays true.
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & seals_of(how)) != seals_of(how))
    return fail(kind::invalid, "unsealed_memory",
                "a peer sent shared memory without the seals that keep its size and content");

  struct stat facts {};

  if (::fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode) || facts.st_size < 0
      || static_cast<std::uint64_t>(facts.st_size) != bytes)
    return fail(kind::invalid, "wrong_memory_size",
                "a peer sent shared memory of another size than it said");
  return map(fd, bytes, as == access::read ? PROT_READ : PROT_READ | PROT_WRITE);
}

}  // namespace berth::base
