#pragma once
// Shipping: a function or class becomes a version under a name.
//
//   berth::ship(rt, {.sources = {"classify.cpp"}, .as = "digits/classify", .with = {{"w", berth::bound(weights)}}, .tag = "prod"});
//
// What `berth ship` does, for programs: build (or take a module), find out what it exports, bind arguments, upload what
// the cluster lacks, publish, start beside the old version, flip.

#include <berth/client.hpp>
#include <berth/error.hpp>
#include <berth/value.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace berth {

/// A C++ value as the text that binds it ("--with name=TEXT").
template <class T>
[[nodiscard]] std::string bound(const T& x) {
  return print_json(to_value(x));
}

/// What to ship. A value.
struct ship_request {
  std::vector<std::string> sources = {};  ///< .cpp files; or one .so; empty with `target`
  std::string target = {};                ///< of the user's own CMake build in `build_folder`
  std::string build_folder = {};
  std::string as = {};      ///< name; "team/" publishes every export as team/<export>
  std::string symbol = {};  ///< which export; empty when there is only one
  /// Bound parameters: JSON, a plain word, or "@file" (what `berth call --out` wrote, JSON, or bytes).
  std::map<std::string, std::string> with = {};
  std::vector<std::string> files = {};      ///< "path" or "path=name in the worker's folder"
  std::vector<std::string> variables = {};  ///< "NAME=value", of the worker's environment
  std::vector<std::string> secrets =
      {};  ///< "NAME=value" too; no command, manifest or log shows them
  std::vector<std::string> flags = {};  ///< for the compiler; "-O2" when empty
  std::vector<std::string> link = {};   ///< for the linker
  std::string compiler = {};
  std::string tag = {};  ///< moved besides `latest`
  std::string why = {};
  std::string commit = {};  ///< of the user's repository; empty: asked of git beside the sources
  std::uint32_t replicas = 1;
  bool force = false;  ///< flip although a bound caller would break
  /// Told each step ("compiling classify.cpp"); may be empty.
  std::function<void(std::string_view)> progress = {};
};

/// A version that is live. A value.
struct shipped {
  std::string name;
  std::uint32_t version = 0;
  std::string digest;          ///< of the manifest
  bool existed = false;        ///< the same code and arguments had been shipped before
  std::uint64_t revision = 0;  ///< of the flip
  double build_ms = 0;
  double upload_ms = 0;
  double publish_ms = 0;  ///< start, health call and flip
  bool built_from_cache = false;
  std::string warnings;  ///< what the compiler said although it succeeded
};

/// Ships; returns when the version answers. Throws `invalid` with all the compiler said when it does not compile,
/// `missing` for an export that is not there, what the health call said when the version is unwell (it then takes no tag).
/// Of several exports ("team/") the last is returned. Cost: the compiler's time and about a fifth of a second.
BERTH_API shipped ship(const connection& to, const ship_request& what);

}  // namespace berth
