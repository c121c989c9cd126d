#pragma once
// Configuration: one flat set of settings, each with the place it came from.
//
// Order, the first that says something wins: flag › `BERTH_<SETTING>` › the project's `berth.toml` (this folder or the
// nearest parent) › the user's `config.toml` › `/etc/berth/config.toml` › built in. Unknown settings in a file are
// errors, so a misspelling is never silently ignored.

#include "runtime/base/folders.hpp"

#include <berth/error.hpp>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace berth::base {

/// One setting as it applies, and why. A value.
struct setting {
  std::string name;    ///< "build.flags"
  std::string value;   ///< as text; lists are joined by a space
  std::string origin;  ///< "flag", "BERTH_BUILD_FLAGS", "/home/me/p/berth.toml:3", "built in"
};

class config {
 public:
  /// Reads all places. Errors: `invalid` with file, line and what was expected.
  static result<config> load(const environment& env,
                             const folders& where,
                             const std::filesystem::path& project);

  /// The value of a known setting. Asking for an unknown one is a bug of ours.
  [[nodiscard]] const std::string& get(std::string_view name) const;
  /// A flag was given: it wins over everything. Errors: `invalid` for an unknown setting.
  result<void> set(std::string_view name, std::string value);
  /// Every setting, by name.
  [[nodiscard]] std::vector<setting> all() const;

 private:
  result<void> read_file(const std::filesystem::path& file);
  std::map<std::string, setting, std::less<>> settings_;
};

}  // namespace berth::base
