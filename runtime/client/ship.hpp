#pragma once
// Ship: from sources to live versions, over the head link. One pipeline for `berth ship`, `berth dev` and `berth::ship`.

#include "runtime/base/folders.hpp"
#include "runtime/client/head_link.hpp"
#include "runtime/module/assemble.hpp"
#include "runtime/module/build.hpp"

#include <berth/error.hpp>
#include <berth/ship.hpp>
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

namespace berth::client {

/// Where things lie on this machine. A value.
struct ship_places {
  std::filesystem::path cache;           ///< the user's cache folder
  std::filesystem::path state;           ///< the user's state folder
  std::filesystem::path worker_program;  ///< berth-worker, asked what a module exports
  std::vector<std::filesystem::path> includes;
  std::filesystem::path library;  ///< libberth.so
};

/// The places of this installation or build tree.
[[nodiscard]] ship_places find_ship_places(const base::environment& env,
                                           const base::folders& where);

/// Builds, assembles, uploads and publishes, for each export wanted.
/// Errors: those of `build`, `describe`, `assemble` and the verbs; `invalid` for a request that makes no sense.
[[nodiscard]] result<std::vector<shipped>> ship(head_link& head,
                                                const ship_request& what,
                                                const ship_places& places,
                                                const std::stop_token& stop);

}  // namespace berth::client
