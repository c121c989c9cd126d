#pragma once
// The change log in SQLite, for one machine: write-ahead log, every commit synced (FULL), a writer thread of its own.
//
// Three tables: `name` and `version` for people and tools that look with SQL, `change` as the truth. Triggers keep
// the log append-only and gapless and versions immutable, whoever writes. Each change row carries the SHA-256 chained
// through all rows before it; the witness file beside the database knows the last one (witness.hpp).

#include "registry/store.hpp"
#include "registry/witness.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>

namespace berth::registry {

/// SHA-256 of a text. Given by the owner: this folder has no library for it.
using digest_function = std::function<chain_digest(std::string_view)>;

struct sqlite_options {
  /// Pages of 4 KiB the database may grow to; 0: as many as the disk has.
  std::uint32_t pages_max = 0;
};

/// Opens or makes `folder/names.db` and `folder/names.witness`. A database that lost acknowledged commits opens
/// read-only (`store::read_only`). Errors: `failed` with the reason; `conflict` (in_use) when another process holds it.
[[nodiscard]] result<std::unique_ptr<store>> open_sqlite_store(const std::filesystem::path& folder,
                                                               digest_function digest,
                                                               sqlite_options options = {});

/// Makes the witness agree with the database as it is: what `open_sqlite_store` missed is given up for good.
/// Returns the revision that stands.
[[nodiscard]] result<std::uint64_t> accept_loss(const std::filesystem::path& folder);

}  // namespace berth::registry
