#pragma once
// Describe: what a module exports, asked without running it in this process.
//
// Signatures exist only once a module's static constructors have run, so a child does that: `berth-worker --describe FILE`
// calls `describe_main`. Whoever ships reads the child's answer, and a module that crashes while it is loaded is an error
// and nothing more.

#include "runtime/module/manifest.hpp"

#include <berth/error.hpp>
#include <berth/shape.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

namespace berth::module {

/// A function of an export with its full signature. A value.
struct described_function {
  std::string name;
  berth::signature signature;
  bool idempotent = false;
};

/// A value.
struct described_export {
  std::string symbol;
  bool is_class = false;
  std::uint32_t concurrency = 1;
  berth::signature constructor;  ///< of a class: what has to be bound
  std::vector<described_function> functions;
};

/// A value.
struct description {
  std::string compiler;  ///< "gcc 12.2.0"
  std::string build_id;
  std::vector<described_export> exports;

  /// The export called `symbol`; an empty name is the only one. Errors: `missing` with the names there are.
  [[nodiscard]] result<const described_export*> find(const std::string& symbol) const;
};

struct describe_options {
  std::string title;  ///< what errors call the module; empty: its file's name
  std::stop_token stop;
  std::chrono::seconds patience{30};
};

/// Checks the file's machine, stamp and completeness here, then lets `worker` (the program that answers to --describe)
/// load it, with these libraries' folders in reach. Errors: those of `read_elf` and `check_stamps` at once; what the child
/// said; `failed` (`module_crashed`) with its last words when it died; `timed_out`; `cancelled`.
[[nodiscard]] result<description> describe(const std::filesystem::path& module,
                                           const std::filesystem::path& worker,
                                           const describe_options& how = {});

/// The child's half: loads the module at `file` and prints its description, or an error. Returns the exit code.
int describe_main(const std::filesystem::path& file);

}  // namespace berth::module
