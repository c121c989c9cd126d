#pragma once
// Toolchain: the compiler, linker and compiler cache a build on this machine uses.

#include <berth/error.hpp>
#include <string>
#include <vector>

namespace berth::module {

/// A value.
struct toolchain {
  enum class family { gcc, clang };

  std::string compiler;  ///< path, links followed
  family made_by = family::gcc;
  std::string linker_flag;  ///< "-fuse-ld=mold", or empty: the compiler's own
  std::string cache;        ///< path of ccache, or empty
  std::string identity;     ///< changes when compiler or linker do: paths, sizes, times

  friend bool operator==(const toolchain&, const toolchain&) = default;
};

/// Finds compiler (`wanted`, else $CXX, else c++, g++, clang++), the fastest linker there is (mold, lld, gold, then the
/// compiler's own; a -fuse-ld among `flags` wins) and ccache.
/// Errors: `missing` with the package to install.
[[nodiscard]] result<toolchain> find_toolchain(const std::string& wanted,
                                               const std::vector<std::string>& flags);

}  // namespace berth::module
