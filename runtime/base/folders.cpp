#include "runtime/base/folders.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::base {
namespace {

namespace fs = std::filesystem;

fs::path first_of(const environment& env,
                  const char* ours,
                  const char* xdg,
                  const fs::path& fallback) {
  if (auto set = env(ours)) return *set;
  if (xdg != nullptr)
    if (auto base = env(xdg)) return fs::path(*base) / "berth";
  return fallback;
}

}  // namespace

environment process_environment() {
  return [](const char* name) -> std::optional<std::string> {
    const char* value =
        std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody here writes the environment
    if (value == nullptr || *value == '\0') return std::nullopt;
    return value;
  };
}

folders find_folders(const environment& env, unsigned user) {
  const bool root = user == 0;
  const fs::path home = env("HOME").value_or("/nonexistent");
  folders found;
  found.runtime =
      first_of(env, "BERTH_RUNTIME_DIR", root ? nullptr : "XDG_RUNTIME_DIR",
               root ? fs::path("/run/berth") : fs::path(fmt::format("/tmp/berth-{}", user)));
  found.state = first_of(env, "BERTH_STATE_DIR", root ? nullptr : "XDG_STATE_HOME",
                         root ? fs::path("/var/lib/berth") : home / ".local/state/berth");
  found.cache = first_of(env, "BERTH_CACHE_DIR", root ? nullptr : "XDG_CACHE_HOME",
                         root ? fs::path("/var/cache/berth") : home / ".cache/berth");
  found.config = first_of(env, "BERTH_CONFIG_DIR", root ? nullptr : "XDG_CONFIG_HOME",
                          root ? fs::path("/etc/berth") : home / ".config/berth");
  return found;
}

result<void> make_private(const fs::path& path) {
  std::error_code why;
  fs::create_directories(path.parent_path(), why);
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    return fail(
        kind::failed, "no_folder",
        fmt::format("cannot create the folder {}: {}", path.string(), std::strerror(errno)));

  struct stat found {};

  if (::lstat(path.c_str(), &found) != 0 || !S_ISDIR(found.st_mode))
    return fail(kind::failed, "no_folder", fmt::format("{} is not a folder", path.string()));
  if (found.st_uid != ::geteuid())
    return fail(kind::denied, "foreign_folder",
                fmt::format("{} belongs to user id {}, not to {}; choose another folder",
                            path.string(), found.st_uid, ::geteuid()));
  if ((found.st_mode & 0077) != 0 && ::chmod(path.c_str(), 0700) != 0)
    return fail(kind::denied, "open_folder",
                fmt::format("others may enter {}, and it cannot be made private: {}", path.string(),
                            std::strerror(errno)));
  return {};
}

result<std::string> socket_path(const fs::path& folder, std::string_view leaf) {
  auto path = (folder / leaf).string();
  if (path.size() > socket_path_bytes_max)
    return fail(kind::invalid, "socket_path_too_long",
                fmt::format("{} is {} bytes long and a socket's path holds {}; set "
                            "BERTH_RUNTIME_DIR to a shorter folder",
                            path, path.size(), socket_path_bytes_max));
  return path;
}

fs::path program_folder(const environment& env) {
  if (auto set = env("BERTH_BIN")) return *set;
  Dl_info image{};
  if (::dladdr(reinterpret_cast<const void*>(&program_folder), &image) != 0
      && image.dli_fname != nullptr) {
    std::error_code why;
    // Of the program itself the loader knows only what it was called by; a library's is a path.
    const bool named = std::strchr(image.dli_fname, '/') == nullptr;
    const auto self = fs::canonical(named ? "/proc/self/exe" : image.dli_fname, why);
    if (!why) {
      auto beside = self.parent_path();
      if (fs::exists(beside / "berthd", why)) return beside;
      return (beside.parent_path() / "bin");
    }
  }
  return "/usr/local/bin";
}

}  // namespace berth::base
