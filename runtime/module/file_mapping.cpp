#include "runtime/module/file_mapping.hpp"

#include "runtime/base/unique_fd.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

namespace berth::module {

result<file_mapping> file_mapping::of(const std::filesystem::path& file) {
  const base::unique_fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd)
    return fail(errno == ENOENT || errno == ENOTDIR ? kind::missing : kind::failed, "cannot_open",
                file.string() + ": " + std::strerror(errno));
  return of(fd.get(), file.string());
}

result<file_mapping> file_mapping::of(int fd, const std::string& name) {
  struct stat s {};

  if (::fstat(fd, &s) != 0 || !S_ISREG(s.st_mode))
    return fail(kind::invalid, "cannot_open", name + " is no file that could be read");
  const auto size = static_cast<std::size_t>(s.st_size);
  if (size == 0) return file_mapping(nullptr, 0);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED)
    return fail(kind::failed, "cannot_map", name + ": " + std::strerror(errno));
  return file_mapping(data, size);
}

file_mapping::~file_mapping() {
  if (data_) ::munmap(data_, size_);
}

}  // namespace berth::module
