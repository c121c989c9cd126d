#pragma once
// Folders: where berth keeps sockets, state, cache and configuration on this machine.
//
// The XDG rules decide for a user, the system's folders for root. `$BERTH_RUNTIME_DIR`, `$BERTH_STATE_DIR` and
// `$BERTH_CACHE_DIR` win over both. Nothing is created here but by `make_private`.

#include <berth/error.hpp>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace berth::base {

/// Reads one variable of the environment; nothing when it is unset or empty. A double stands in for it in tests.
using environment = std::function<std::optional<std::string>(const char* name)>;

/// The process's own environment.
[[nodiscard]] environment process_environment();

/// The folders of one user on one machine. A value.
struct folders {
  std::filesystem::path runtime;  ///< sockets, the running cluster's file; gone after a reboot
  std::filesystem::path state;    ///< names database, blobs, logs of ended workers
  std::filesystem::path cache;    ///< builds, precompiled headers; may be deleted at any time
  std::filesystem::path config;   ///< the user's own config.toml lies here

  friend bool operator==(const folders&, const folders&) = default;
};

/// The folders for a user id: root has `/run/berth`, `/var/lib/berth`, `/var/cache/berth`, `/etc/berth`; others
/// `$XDG_RUNTIME_DIR/berth` (else `/tmp/berth-<uid>`), `$XDG_STATE_HOME/berth`, `$XDG_CACHE_HOME/berth`,
/// `$XDG_CONFIG_HOME/berth`.
[[nodiscard]] folders find_folders(const environment& env, unsigned user);

/// Creates `path` and its parents and makes it private (0700, owned by this user). Errors: `denied` when it exists
/// and belongs to somebody else or others may enter it; `failed` with the system's reason.
result<void> make_private(const std::filesystem::path& path);

/// The longest path a Unix socket can be bound to, in bytes.
constexpr std::size_t socket_path_bytes_max = 107;

/// `folder/leaf` as a socket path. Errors: `invalid` when it would be longer than a socket path can be; says the
/// variable to set.
[[nodiscard]] result<std::string> socket_path(const std::filesystem::path& folder,
                                              std::string_view leaf);

/// The folder berth's programs lie in: `$BERTH_BIN`, else `../bin` beside the image that holds this code.
[[nodiscard]] std::filesystem::path program_folder(const environment& env);

}  // namespace berth::base
