#pragma once
// Secrets: variables of a version that nobody but its workers sees.
//
// They lie in a blob of their own, readable by the cluster's owner alone; the manifest, which is kept and shown, holds
// only its digest. A salt, one a user, keeps a guess from being checked against that digest.

#include "runtime/module/manifest.hpp"

#include <berth/error.hpp>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace berth::module {

inline constexpr std::size_t secrets_bytes_max = 1024 * 1024;

/// The blob's bytes; the same variables and salt give the same ones. Errors: `invalid` for a variable that no version may
/// set (LD_*, BERTH_*), one given twice, a value with a zero byte, or more than 1 MiB.
[[nodiscard]] result<std::string> print_secrets(std::string_view salt, std::vector<variable> all);

/// Reads what `print_secrets` wrote. Errors: `invalid`.
[[nodiscard]] result<std::vector<variable>> parse_secrets(std::string_view text);

/// This user's salt, made at first use in `folder` (0700), readable by him alone. Errors: `failed`, `denied`.
[[nodiscard]] result<std::string> secret_salt(const std::filesystem::path& folder);

}  // namespace berth::module
