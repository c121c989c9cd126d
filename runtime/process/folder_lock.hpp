#pragma once
// Folder lock: one cluster a runtime folder.
//
// The lock is held by the open file, not by a process: the supervisor holds it and its head inherits it, so a folder is
// free only when both are gone, and is free at once after kill -9. The file itself stays; its text names the holder.

#include "runtime/base/unique_fd.hpp"

#include <berth/error.hpp>
#include <chrono>
#include <filesystem>
#include <optional>

namespace berth::process {

/// Takes the folder. Waits up to `patience` for a head whose supervisor is gone and that is about to end.
/// Errors: `conflict` naming the holder; `failed` with the system's reason.
result<base::unique_fd> lock_folder(const std::filesystem::path& folder,
                                    std::chrono::milliseconds patience);

/// The pid in the lock file of a folder somebody holds; nothing when it is free or has no lock.
[[nodiscard]] std::optional<pid_t> folder_holder(const std::filesystem::path& folder);

}  // namespace berth::process
