#pragma once
// ELF: what a shared object says of itself, read without running a byte of it.
//
// `dlopen` runs constructors before it returns, so whatever has to fit (machine, ABI stamp, exports at all) is read
// from the file first. The bytes are a stranger's: every offset is checked against the size before it is followed,
// every count is bounded.

#include <berth/abi.hpp>
#include <berth/error.hpp>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace berth::module {

/// What an ELF image for this machine declares. A value.
struct elf_summary {
  bool program =
      false;           ///< has an interpreter: an executable, which cannot be loaded into a process
  std::string soname;  ///< DT_SONAME, or empty
  std::string runpath;              ///< DT_RUNPATH, else DT_RPATH
  std::vector<std::string> needed;  ///< DT_NEEDED in order
  std::string build_id;             ///< hex digits, or empty
  std::vector<abi::stamp> stamps;   ///< one a translation unit with exports, or one for all
};

/// Reads an image that must be a 64-bit little-endian position-independent ELF file of this machine's kind.
/// Errors: `invalid` with code `not_elf`, `wrong_machine`, `wrong_elf` (32-bit, static, an object file) or `truncated`.
/// Cost: headers, dynamic section and notes only.
[[nodiscard]] result<elf_summary> read_elf(std::span<const std::byte> image);

/// The same of a file. Errors: also `missing` when there is none.
[[nodiscard]] result<elf_summary> read_elf_file(const std::filesystem::path& file);

/// Whether a module with these stamps may run in this process. Errors: `invalid` with code `no_exports`,
/// `other_abi` (berth's own) or `other_library` (another C++ library or string layout); the message says how to build it.
[[nodiscard]] result<void> check_stamps(const elf_summary& summary, const std::string& what);

}  // namespace berth::module
