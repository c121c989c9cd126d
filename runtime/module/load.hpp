#pragma once
// Load: from verified bytes to a table of exports.
//
// What is checked must be what runs, so a module is copied into a sealed memfd first, hashed there, its machine and
// stamp are read there, and only then the dynamic loader gets that very descriptor. Its constructors run in `load`: call
// it in a worker only. Modules are never unloaded.

#include "runtime/base/unique_fd.hpp"
#include "runtime/store/digest.hpp"

#include <berth/abi.hpp>
#include <berth/error.hpp>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace berth::module {

/// A memfd with these bytes that nobody can change any more. Where there is no memfd: an unlinked temporary file.
/// Errors: `failed` with the system's reason.
[[nodiscard]] result<base::unique_fd> sealed_copy(std::span<const std::byte> bytes,
                                                  const std::string& name);

/// The same of all that `fd` holds. A descriptor that is sealed already is duplicated, not copied.
[[nodiscard]] result<base::unique_fd> sealed_copy(int fd, const std::string& name);

/// One shared object to load: its bytes behind any descriptor, and what they must hash to.
struct object_source {
  std::string name;  ///< for people; a library's soname
  store::digest digest;
  int fd = -1;
};

/// A resource that lives as long as the process. Threads: const members are safe.
class loaded_module {
 public:
  /// Loads the libraries in the order they need each other, then the module.
  /// Errors: `invalid`: another digest (`wrong_digest`), a file for another machine, truncated, without exports, with
  /// another ABI, or an unusable table (`bad_exports`); `failed` (`cannot_load`) with the loader's words, or what a
  /// static constructor threw (the process should end then). Nothing of the module runs before its bytes passed all
  /// checks.
  [[nodiscard]] static result<std::unique_ptr<loaded_module>> load(
      const object_source& module, std::span<const object_source> libraries = {});

  /// The same of a file where it lies, libraries found as its run path says: for a look at its exports, not for calls.
  [[nodiscard]] static result<std::unique_ptr<loaded_module>> load_in_place(
      const std::filesystem::path& file);

  [[nodiscard]] std::span<const berth_export> exports() const {
    return {table_->exports, table_->export_count};
  }

  /// The export of that name. Errors: `missing`, with the names there are.
  [[nodiscard]] result<const berth_export*> find(const std::string& symbol) const;

  /// Runs the module's health hooks. Errors: what they threw. Code of the user's: it may hang or end the process.
  [[nodiscard]] result<void> health() const;

 private:
  explicit loaded_module(const berth_module* table) : table_(table) {}

  const berth_module* table_;
};

/// Collects what a thunk tells its sink when no value is expected. Stays where it is made.
class error_sink {
 public:
  error_sink();
  error_sink(const error_sink&) = delete;
  error_sink& operator=(const error_sink&) = delete;

  [[nodiscard]] const berth_sink* sink() const { return &sink_; }

  /// What was told; `failed` when nothing was.
  [[nodiscard]] error_info take();

 private:
  berth_sink sink_;
  error_info why_;
};

}  // namespace berth::module
