#pragma once
// Assemble: from a built module and what its author says about it to a manifest and the bytes it names.
//
// Everything that can be wrong with a version without running it is found here, before anything is uploaded: an argument
// that does not fit its parameter, a constructor left open, a library that is nowhere, a secret in the environment.

#include "runtime/module/closure.hpp"
#include "runtime/module/describe.hpp"
#include "runtime/module/manifest.hpp"

#include <berth/error.hpp>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace berth::module {

/// A value. Texts are as on the command line.
struct version_wish {
  std::filesystem::path module;
  description exports;             ///< of it
  std::string symbol;              ///< which export; empty: the only one
  std::string flags;               ///< of the build
  std::vector<std::string> with;   ///< "w=@weights.bin", "k=3", "name={\"a\": 1}": bound arguments
  std::vector<std::string> files;  ///< "path" or "path=name in the worker's folder"
  std::vector<std::string> environment;  ///< "NAME=value"
  std::vector<std::string> secrets;      ///< "NAME=value", not to be seen by anybody else
  std::string salt;                      ///< for them, see `secret_salt`
  std::filesystem::path folder;          ///< what paths are relative to; empty: this process's
};

/// Where the bytes of a blob are: in a file, or here. A value.
struct blob_origin {
  blob content;
  std::filesystem::path file;  ///< empty: `bytes` holds them
  std::string bytes;
};

struct assembled {
  module::manifest manifest;
  std::string text;  ///< the manifest's canonical text
  store::digest identity;
  std::vector<blob_origin> blobs;  ///< all that `manifest.blobs()` names, once each
};

/// Errors: `invalid` for a wish that contradicts the module (the parameter and its shape are named, with the path into
/// the value that does not fit), `missing` for a file or library that is nowhere.
[[nodiscard]] result<assembled> assemble(const version_wish& wish);

/// The version that a sent function of this running program is: the program itself is the module, `thunk` (see
/// `detail::sent_thunk`) the entry. Errors: those of `place_of`; `missing` when the function was not registered as sent.
[[nodiscard]] result<assembled> assemble_sent(const void* thunk);

/// One "name=text" of `with` as the block that is bound: `@file` is taken as it is for `bytes`, as a saved value or JSON for any
/// other shape; other text is JSON, or a plain word. Errors: `invalid` with the path to what does not fit; `missing` file.
[[nodiscard]] result<std::string> bound_block(const shape& shape,
                                              std::string_view text,
                                              const std::filesystem::path& folder);

}  // namespace berth::module
