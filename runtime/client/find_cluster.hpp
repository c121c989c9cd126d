#pragma once
// Finding a cluster: argument › `$BERTH_HEAD` › the running cluster's file. What is named and does not answer is an
// error; an embedded cluster is started only when nothing was named and none runs.

#include "runtime/base/folders.hpp"
#include "runtime/net/endpoint.hpp"
#include "runtime/process/cluster_launch.hpp"

#include <berth/error.hpp>
#include <optional>
#include <string>

namespace berth::client {

/// A cluster to connect to. A value.
struct found_cluster {
  net::address head;
  std::filesystem::path runtime;  ///< its runtime folder; empty when only an address is known
  bool embedded = false;
};

/// The address in words: a runtime folder, "unix:PATH", or "127.0.0.1:PORT" ("tcp:" may stand before it). The token
/// of a TCP address comes from the file `$BERTH_TOKEN_FILE`. Errors: `invalid` for other words; those of the files.
[[nodiscard]] result<found_cluster> cluster_at(const std::string& words,
                                               const base::environment& env);

/// The head that `argument` or `$BERTH_HEAD` names, else the running cluster of `where.runtime`.
/// Errors: `missing` (no_cluster) when nothing was named and none runs; those of `cluster_at`.
[[nodiscard]] result<found_cluster> find_cluster(const std::string& argument,
                                                 const base::environment& env,
                                                 const base::folders& where);

/// Of a cluster's state file.
[[nodiscard]] found_cluster found_from(const process::cluster_state& state);

}  // namespace berth::client
