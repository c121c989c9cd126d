#pragma once
// Closure: the shared libraries a module brings along, and those it expects.
//
// What a module needs and the system does not own travels with it, by digest; what the system owns (found in the
// loader's own folders) is named by soname and build id. Found as the dynamic loader would find it, without running it.

#include "runtime/module/elf.hpp"
#include "runtime/module/manifest.hpp"

#include <berth/error.hpp>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace berth::module {

/// Where libraries are looked for. A value; `of_this_machine` makes the real one.
struct library_folders {
  std::vector<std::filesystem::path> system;  ///< of the loader: what lies here is the system's
  std::vector<std::filesystem::path> more;    ///< $LD_LIBRARY_PATH

  /// The loader's folders (/etc/ld.so.conf and its includes, /lib, /usr/lib and their multiarch folders).
  [[nodiscard]] static library_folders of_this_machine();
};

/// A library of the closure that has to travel, and where its bytes lie now.
struct found_library {
  carried_library library;
  std::filesystem::path file;

  friend bool operator==(const found_library&, const found_library&) = default;
};

/// A value.
struct closure {
  std::vector<found_library> carried;
  std::vector<system_library> system;

  friend bool operator==(const closure&, const closure&) = default;
};

/// Follows DT_NEEDED from the module on. libberth is expected, never carried.
/// Errors: `missing` for a library that is nowhere (with who needs it); `invalid` for one without soname, for another
/// machine, or when two images of the closure claim one build id (`twin_build_id`).
[[nodiscard]] result<closure> find_closure(const std::filesystem::path& module,
                                           const library_folders& folders);

}  // namespace berth::module
