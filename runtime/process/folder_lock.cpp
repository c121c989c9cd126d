#include "runtime/process/folder_lock.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/file.h>
#include <thread>
#include <unistd.h>

namespace berth::process {
namespace {

constexpr std::chrono::milliseconds look_again{10};

std::string lock_path(const std::filesystem::path& folder) {
  return (folder / "lock").string();
}

pid_t pid_in(int fd) {
  std::array<char, 32> text{};
  const auto got = ::pread(fd, text.data(), text.size() - 1, 0);
  pid_t pid = 0;
  if (got > 0) std::from_chars(text.data(), text.data() + got, pid);
  return pid;
}

}  // namespace

result<base::unique_fd> lock_folder(const std::filesystem::path& folder,
                                    std::chrono::milliseconds patience) {
  const auto path = lock_path(folder);
  base::unique_fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return fail(kind::failed, "no_lock", path + ": " + std::strerror(errno));
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR)
      return fail(kind::failed, "no_lock", path + ": " + std::strerror(errno));
    const pid_t holder = pid_in(file.get());
    const bool alive = holder > 0 && (::kill(holder, 0) == 0 || errno == EPERM);
    if (alive || std::chrono::steady_clock::now() >= deadline)
      return fail(kind::conflict, "folder_in_use",
                  "a cluster runs in " + folder.string() + " already (supervisor pid "
                      + std::to_string(holder) + "): end it with `berth down`, or give another folder with "
                        "BERTH_RUNTIME_DIR");
    std::this_thread::sleep_for(look_again);
  }
  const auto text = std::to_string(::getpid()) + "\n";
  const bool written =
      ::ftruncate(file.get(), 0) == 0 && ::pwrite(file.get(), text.data(), text.size(), 0) > 0;
  if (!written) return fail(kind::failed, "no_lock", path + ": " + std::strerror(errno));
  return file;
}

std::optional<pid_t> folder_holder(const std::filesystem::path& folder) {
  const base::unique_fd file(::open(lock_path(folder).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return std::nullopt;
  if (::flock(file.get(), LOCK_SH | LOCK_NB) == 0) return std::nullopt;
  return pid_in(file.get());
}

}  // namespace berth::process
