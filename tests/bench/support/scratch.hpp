#pragma once
// Scratch: a folder that ends with its owner, and small files in it.

#include "tests/bench/support/settings.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace berth::bench {

class scratch {
 public:
  scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "berth-bench-XXXXXX").string();
    expect(::mkdtemp(pattern.data()) != nullptr, "no temporary folder can be made");
    folder_ = pattern;
  }

  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;

  ~scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  [[nodiscard]] std::filesystem::path at(std::string_view leaf) const { return folder_ / leaf; }

  /// Writes a file whole, as an editor saves it. Returns its path.
  std::string write(std::string_view leaf, std::string_view text) const {
    const auto path = at(leaf).string();
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

 private:
  std::filesystem::path folder_;
};

/// The folder of the build tree this program lies in: its programs are in "bin", libberth in "lib".
[[nodiscard]] inline std::filesystem::path build_tree() {
  return std::filesystem::canonical("/proc/self/exe").parent_path().parent_path();
}

}  // namespace berth::bench
