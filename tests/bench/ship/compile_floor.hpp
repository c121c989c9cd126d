#pragma once
// The floors of shipping: the compiler and the linker alone, and a bare hit of the compiler cache, with the flags, the
// precompiled header and the linker that a build of ours uses on this machine.

#include "runtime/client/ship.hpp"
#include "runtime/module/command.hpp"
#include "runtime/module/toolchain.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace berth::bench {

/// Threads: one. Ends the program when a tool says no.
class compile_floor {
 public:
  /// Builds `source` once as shipping would, so that the precompiled header is there, and takes its flags.
  compile_floor(const client::ship_places& places,
                const std::filesystem::path& source,
                std::filesystem::path folder);

  /// Compiles and links without a cache; milliseconds.
  double compile_and_link_ms(const std::filesystem::path& source) const;

  /// The same compilation through the compiler cache; milliseconds. A hit from the second time on.
  double cached_compile_ms(const std::filesystem::path& source) const;

  /// Compiles one file as a stranger would, without precompiled header or cache; milliseconds.
  double plain_compile_ms(const std::filesystem::path& source) const;

  [[nodiscard]] bool has_cache() const { return !tools_.cache.empty(); }

  /// The tools, for people.
  [[nodiscard]] std::string words() const;

 private:
  [[nodiscard]] std::vector<std::string> compiles(const std::filesystem::path& source) const;

  module::toolchain tools_;
  std::vector<std::string> flags_;  ///< of every compilation, include folders among them
  std::vector<std::string> header_flags_;
  std::string library_;
  std::filesystem::path folder_;
};

/// The headers of the standard library that the public headers reached from `from` ask for, each once.
[[nodiscard]] std::vector<std::string> standard_headers_of(
    const std::vector<std::filesystem::path>& includes, std::string_view from);

}  // namespace berth::bench
