#pragma once
// Precompiled header: berth's headers, compiled once for one compiler and one set of flags.

#include "runtime/module/build.hpp"

#include <string>
#include <vector>

namespace berth::module {

/// What one source can be compiled with. A value.
struct precompiled {
  std::vector<std::string> flags;  ///< to put before the source
  double made_ms = 0;              ///< 0 when it was there already
  /// The headers it was made from: a compiler that uses it may not name them among what it read.
  std::vector<std::filesystem::path> read;
};

/// The berth headers ("berth/module.hpp") that a source includes before anything that could change their meaning: no
/// macro is defined in front of them. None: the source is compiled without.
[[nodiscard]] std::vector<std::string> leading_headers(std::string_view source_text);

/// The flags that use the precompiled form of `headers`, which is made first if it is not there or something it was
/// made from has changed. One process makes it at a time. Errors: `invalid` with the compiler's words.
[[nodiscard]] result<precompiled> precompile(const std::vector<std::string>& headers,
                                             const toolchain& tools,
                                             const std::vector<std::string>& compile_flags,
                                             const build_request& what,
                                             const build_cache& cache);

}  // namespace berth::module
