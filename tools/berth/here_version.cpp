#include "tools/berth/here_version.hpp"

#include "registry/ref.hpp"
#include "runtime/client/ship.hpp"
#include "runtime/module/assemble.hpp"
#include "runtime/module/build.hpp"
#include "runtime/module/secrets.hpp"
#include "runtime/store/blob_store.hpp"

#include <fmt/format.h>
#include <fstream>

namespace berth::tools {
namespace {

namespace fs = std::filesystem;
namespace verbs = client::verbs;

/// "f.cpp::model.get": a file, an export and one of its methods.
struct file_words {
  fs::path file;
  std::string symbol;
  std::string method;
};

file_words words_of(const std::string& what) {
  const auto colons = what.rfind("::");
  if (colons == std::string::npos) return {what, {}, {}};
  const auto symbol = what.substr(colons + 2);
  const auto dot = symbol.find('.');
  return {what.substr(0, colons), symbol.substr(0, dot),
          dot == std::string::npos ? std::string() : symbol.substr(dot + 1)};
}

result<fs::path> module_at(context& with, const fs::path& file, const client::ship_places& places) {
  if (file.extension() == ".so") return fs::absolute(file);
  module::build_request build;
  build.sources = {file};
  build.flags = {"-g", "-O0"};
  build.compiler =
      with.settings.get("build.compiler") == "c++" ? "" : with.settings.get("build.compiler");
  build.includes = places.includes;
  build.library = places.library;
  build.cache = places.cache;
  auto made = module::build(build);
  if (!made) return std::move(made).error();
  return made->file;
}

result<void> place(const module::blob_origin& blob, const fs::path& folder) {
  const auto at = folder / blob.content.digest.hex();
  std::error_code why;
  if (!blob.file.empty()) {
    fs::create_symlink(fs::absolute(blob.file), at, why);
  } else {
    std::ofstream out(at, std::ios::binary);
    out << blob.bytes;
    out.close();
    if (!out) why = std::make_error_code(std::errc::io_error);
  }
  if (!why) return {};
  return fail(kind::failed, "not_written",
              fmt::format("cannot write {}: {}", at.string(), why.message()));
}

result<here_version> from_file(context& with,
                               const here_request& what,
                               const file_words& words,
                               const fs::path& blobs) {
  const auto places = client::find_ship_places(with.env, with.where);
  auto module = module_at(with, words.file, places);
  if (!module) return std::move(module).error();
  auto exports =
      module::describe(*module, places.worker_program, {.title = words.file.string(), .stop = {}});
  if (!exports)
    return std::move(exports).error().at(
        fmt::format("while asking {} what it exports", words.file.string()));
  module::version_wish wish;
  wish.module = *module;
  wish.exports = *std::move(exports);
  wish.symbol = words.symbol;
  wish.with = what.with;
  wish.files = what.files;
  wish.environment = what.environment;
  auto made = module::assemble(wish);
  if (!made) return std::move(made).error();
  for (const auto& blob : made->blobs)
    if (auto placed = place(blob, blobs); !placed) return std::move(placed).error();
  return here_version{std::move(made->text), std::move(made->manifest.environment), words.method};
}

// The version that a call of this program would reach most likely: the heaviest of the split.
result<std::string> manifest_behind(client::head_link& head,
                                    const std::string& ref,
                                    const std::string& name) {
  verbs::resolve resolve;
  resolve.ref = ref;
  auto route = head.ask<verbs::route>(resolve, std::chrono::seconds(120));
  if (!route) return std::move(route).error();
  const auto heaviest =
      std::max_element(route->versions.begin(), route->versions.end(),
                       [](const auto& a, const auto& b) { return a.weight < b.weight; });
  if (heaviest == route->versions.end())
    return fail(kind::missing, "no_version", "nothing stands behind " + ref);
  auto found =
      head.ask<verbs::described>(verbs::describe{fmt::format("{}@{}", name, heaviest->version)});
  if (!found) return std::move(found).error();
  for (const auto& one : found->versions)
    if (one.version == heaviest->version) return one.manifest;
  return fail(kind::missing, "no_version", "nothing stands behind " + ref);
}

result<here_version> from_cluster(context& with, const here_request& what, const fs::path& blobs) {
  if (!what.with.empty() || !what.files.empty() || !what.environment.empty())
    return fail(
        kind::invalid, "already_bound",
        fmt::format("{} is a version with its own arguments, files and environment; --with, "
                    "--file and --env go with a source or .so",
                    what.what));
  auto ref = registry::parse_ref(what.what);
  if (!ref)
    return std::move(ref).error().at(
        fmt::format("there is no file {}", words_of(what.what).file.string()));
  auto head = with.cluster();
  if (!head)
    return std::move(head).error().at(
        fmt::format("there is no file {} either", words_of(what.what).file.string()));
  auto text = manifest_behind(**head, what.what, ref->name);
  if (!text)
    return std::move(text).error().at(
        fmt::format("there is no file {} either", words_of(what.what).file.string()));
  auto manifest = module::parse(*text);
  if (!manifest) return std::move(manifest).error();
  if (manifest->program)
    return fail(kind::invalid, "is_program",
                fmt::format("{} is part of a program: debug it there", what.what));
  auto status = (*head)->ask<verbs::cluster_status>(verbs::status{});
  if (!status) return std::move(status).error();
  auto held = store::blob_store::open(fs::path(status->state_folder) / "blobs");
  if (!held) return std::move(held).error();
  for (const auto& blob : manifest->blobs())
    if (auto placed = place({blob, (*held)->path_of(blob.digest), {}}, blobs); !placed)
      return std::move(placed).error();
  here_version version{*std::move(text), std::move(manifest->environment), ref->method};
  if (!manifest->secrets) return version;
  auto secrets = (*held)->read(manifest->secrets->digest, module::secrets_bytes_max);
  if (!secrets) return std::move(secrets).error();
  auto more =
      module::parse_secrets({reinterpret_cast<const char*>(secrets->data()), secrets->size()});
  if (!more) return std::move(more).error();
  version.environment.insert(version.environment.end(), more->begin(), more->end());
  return version;
}

}  // namespace

result<here_version> make_here_version(context& with,
                                       const here_request& what,
                                       const fs::path& blobs) {
  const auto words = words_of(what.what);
  std::error_code ignored;
  if (fs::is_regular_file(words.file, ignored)) return from_file(with, what, words, blobs);
  return from_cluster(with, what, blobs);
}

}  // namespace berth::tools
