#pragma once
// Build: from a user's sources to a module, in little more than the compiler's own time.
//
// Three things keep it short. The headers of berth, which every module includes, are compiled once for each compiler
// and set of flags and kept as a precompiled header. The fastest linker there is links. And what was built from the
// same bytes before is taken from the cache without asking a compiler at all.

#include "runtime/module/build_cache.hpp"
#include "runtime/module/toolchain.hpp"

#include <berth/error.hpp>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace berth::module {

/// Told what a build is doing, one line a step ("compiling digits.cpp").
using progress_listener = std::function<void(std::string_view what)>;

struct build_request {
  std::vector<std::filesystem::path> sources;
  std::vector<std::string> flags;  ///< the user's, for the compiler; "-O2" when there are none
  std::vector<std::string> link;   ///< the user's, for the linker: -l, -L, objects, archives
  std::string compiler;            ///< empty: see find_toolchain
  std::filesystem::path folder;    ///< flags are relative to it; empty: this process's
  std::vector<std::filesystem::path> includes;  ///< where <berth/…> lies
  std::filesystem::path
      library;  ///< libberth.so to link with; empty: its symbols stay open until the module is loaded
  std::filesystem::path cache;  ///< the user's cache folder
  progress_listener progress;
  std::stop_token stop;
};

/// What a build made. A value.
struct built {
  std::filesystem::path file;  ///< in the cache: copy or read it, do not change it
  std::string flags;           ///< all flags, as the manifest keeps them
  bool from_cache = false;
  double header_ms = 0;  ///< making the precompiled header; 0 when it was there
  double compile_ms = 0;
  double link_ms = 0;
  std::string warnings;  ///< what the compiler said although it succeeded
};

/// Compiles and links. Sources compile side by side, as many as there are processors.
/// Errors: `invalid` (`does_not_compile`, `does_not_link`) with all the compiler said; `missing` for a source that is not
/// there or without a compiler; `cancelled`; `failed` when the cache folder cannot be used.
[[nodiscard]] result<built> build(const build_request& what);

/// A target of the user's own CMake build: builds it there and finds the file it made.
struct target_request {
  std::string target;
  std::filesystem::path build_folder;
  progress_listener progress;
  std::stop_token stop;
};

/// Errors: `missing` for a folder that is no CMake build or has no such target (the nearest are named); `invalid` when
/// the target does not build (with all the tools said) or is no shared or module library.
[[nodiscard]] result<built> build_target(const target_request& what);

}  // namespace berth::module
