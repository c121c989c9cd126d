#pragma once
// Manifest: the canonical text of all that runs as one version; its SHA-256 is the version's identity.
//
// Change a byte of the module, of a library it brings along, of a bound argument or a file, a variable, an option or
// the flags it was compiled with, and it is another version; change nothing and it is the same. So the text is
// canonical: one spelling for one meaning, lists sorted by name, and `parse` refuses every other spelling. What does
// not change what runs (replicas, tags, reasons, paths the bytes came from) has no place in it.
//
// One line an item, words separated by one space, texts in double quotes with \", \\ and \xHH; docs/manifest.md.

#include "runtime/store/digest.hpp"

#include <berth/error.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::module {

/// Content by digest.
struct blob {
  store::digest digest;
  std::uint64_t size = 0;

  friend bool operator==(const blob&, const blob&) = default;
};

/// A shared library that is not the system's: it travels with the module.
struct carried_library {
  std::string name;  ///< its soname
  blob content;

  friend bool operator==(const carried_library&, const carried_library&) = default;
};

/// A library of the system: named by soname and build id, never carried. libberth itself is named without a build id:
/// the ABI stamp covers it.
struct system_library {
  std::string name;
  std::string build_id;  ///< hex digits, or empty when it has none

  friend bool operator==(const system_library&, const system_library&) = default;
};

/// A callable of the entry, as callers see it: bound parameters are gone from its signature.
struct entry_function {
  std::string name;       ///< method's name; for a function its symbol
  std::string signature;  ///< encoded `berth::signature`
  bool idempotent = false;

  friend bool operator==(const entry_function&, const entry_function&) = default;
};

/// An argument bound when shipping: a block with one value of the parameter's shape.
struct bound_argument {
  std::uint32_t parameter = 0;  ///< index in the full signature
  std::string name;
  blob value;

  friend bool operator==(const bound_argument&, const bound_argument&) = default;
};

/// A file that lies in the worker's working folder.
struct carried_file {
  std::string path;  ///< relative, no ".."
  blob content;
  bool executable = false;

  friend bool operator==(const carried_file&, const carried_file&) = default;
};

struct variable {
  std::string name;
  std::string value;

  friend bool operator==(const variable&, const variable&) = default;
};

/// A value.
struct manifest {
  blob module;
  std::string build_id;  ///< of the module, hex digits or empty
  bool program = false;  ///< the module is an executable that is started again, not a library
  std::string symbol;    ///< exported function or class; empty for a sent function
  std::optional<std::uint64_t> offset;  ///< of a sent function's thunk from the image base
  bool is_class = false;
  std::string constructor;  ///< encoded signature of a class's constructor
  std::vector<entry_function> functions;
  std::uint32_t concurrency = 1;
  std::vector<bound_argument> bound;
  std::vector<carried_library> libraries;
  std::vector<system_library> system;
  std::vector<carried_file> files;
  std::vector<variable> environment;
  std::optional<blob>
      secrets;  ///< more variables, which no manifest shows (runtime/module/secrets.hpp)
  std::string compiler;
  std::string flags;

  friend bool operator==(const manifest&, const manifest&) = default;

  /// Everything that has to be held before the version can start: module, libraries, bound arguments, files, secrets; once
  /// each.
  [[nodiscard]] std::vector<blob> blobs() const;
};

/// Upper bounds of a manifest's text and of each of its lists.
inline constexpr std::size_t manifest_bytes_max = 4 * 1024 * 1024;
inline constexpr std::size_t manifest_items_max = 4096;

/// The canonical text; lists are put in order. Errors: `invalid` when a field cannot stand in a manifest (a secret's
/// name in the environment, a file path that leaves the folder, two items of one name).
[[nodiscard]] result<std::string> print(const manifest& m);

/// Reads a canonical text. Errors: `invalid` (`bad_manifest`) with the line that is wrong; also for a text that means
/// something but is not spelled canonically.
[[nodiscard]] result<manifest> parse(std::string_view text);

/// The identity of a version: SHA-256 of the canonical text.
[[nodiscard]] store::digest identity(std::string_view canonical_text);

/// Whether a variable may be part of a version. Errors: `invalid`: not a name; SECRET, TOKEN, PASSWORD, PASSWD,
/// CREDENTIAL, PRIVATE or KEY is a word of it (manifests are printed and exported); or it steers the loader or berth
/// itself (LD_*, BERTH_*).
[[nodiscard]] result<void> check_variable_name(std::string_view name);

/// The same for a variable kept as a secret: any word may be part of its name. Errors: `invalid`.
[[nodiscard]] result<void> check_secret_name(std::string_view name);

/// Whether a path may name a file in the worker's folder: relative, clean, at most 255 bytes a part. Errors: `invalid`.
[[nodiscard]] result<void> check_file_path(std::string_view path);

}  // namespace berth::module
