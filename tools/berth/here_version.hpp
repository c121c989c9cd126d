#pragma once
// What `berth call --here` runs: a version on disk, as a worker without a node takes it.

#include "runtime/module/manifest.hpp"
#include "tools/berth/command.hpp"
#include "tools/berth/here_call.hpp"

#include <berth/error.hpp>
#include <filesystem>
#include <string>

namespace berth::tools {

/// A manifest, and a folder in which each of its blobs lies (or is linked) under its digest. A value.
struct here_version {
  std::string manifest;
  std::vector<module::variable> environment;  ///< with the secret ones
  std::string method;                         ///< of a class; empty: the only one
};

/// Builds and assembles the file that `what` names, or asks the cluster for the version behind a ref; links its blobs into
/// `blobs`, which exists. Errors: those of `here_worker::start`.
[[nodiscard]] result<here_version> make_here_version(context& with,
                                                     const here_request& what,
                                                     const std::filesystem::path& blobs);

}  // namespace berth::tools
