#include "runtime/module/precompiled.hpp"

#include "runtime/base/clock.hpp"
#include "runtime/base/unique_fd.hpp"
#include "runtime/module/command.hpp"

#include <fcntl.h>
#include <fstream>
#include <sys/file.h>

namespace berth::module {

namespace fs = std::filesystem;

namespace {

bool blank_or_comment(std::string_view line) {
  return line.empty() || line.starts_with("//") || line.starts_with("#include")
         || line.starts_with("#pragma once");
}

std::vector<std::string> use_of(const toolchain& tools,
                                const fs::path& header,
                                const fs::path& compiled) {
  // gcc looks for header.gch beside the header it is told to include; clang wants the compiled file itself.
  if (tools.made_by == toolchain::family::clang) return {"-include-pch", compiled.string()};
  return {"-include", header.string(), "-Winvalid-pch"};
}

struct header_place {
  fs::path folder;
  fs::path header;
  fs::path compiled;
};

header_place place_of(const toolchain& tools, const build_cache& cache, const store::digest& key) {
  const auto folder = cache.folder() / "headers" / key.hex().substr(0, 32);
  const auto header = folder / "berth_precompiled.hpp";
  const auto* suffix = tools.made_by == toolchain::family::clang ? ".pch" : ".gch";
  return {folder, header, fs::path(header.string() + suffix)};
}

// What it was made from is recorded with an empty artifact; the compiled file itself stays where compilers look for it.
store::digest key_of(const std::vector<std::string>& headers,
                     const toolchain& tools,
                     const std::vector<std::string>& flags,
                     const build_request& what) {
  store::hasher h;
  h.add("precompiled header 0\n" + tools.identity + what.folder.string() + '\n');
  for (const auto& one : headers)
    h.add("<" + one + ">\n");
  for (const auto& one : flags)
    h.add(one + '\n');
  return h.finish();
}

result<std::vector<fs::path>> make(const std::vector<std::string>& headers,
                                   const header_place& place,
                                   const toolchain& tools,
                                   const std::vector<std::string>& flags,
                                   const build_request& what,
                                   const build_cache& cache,
                                   const store::digest& key) {
  auto scratch = cache.scratch();
  if (!scratch) return std::move(scratch.error());
  const auto began = file_clock_ns();
  {
    std::ofstream out(place.header, std::ios::binary);
    for (const auto& one : headers)
      out << "#include <" << one << ">\n";
  }
  const auto fresh = *scratch / "compiled";
  const auto dependencies = *scratch / "dependencies";
  command_line line{{tools.compiler}, {}, what.folder.string()};
  line.argv.insert(line.argv.end(), flags.begin(), flags.end());
  for (const auto& one :
       {std::string("-x"), std::string("c++-header"), std::string("-MD"), std::string("-MF"),
        dependencies.string(), place.header.string(), std::string("-o"), fresh.string()})
    line.argv.push_back(one);
  auto ran = run(line, what.stop);
  if (!ran) return std::move(ran.error());
  if (ran->exit_code != 0)
    return fail(kind::invalid, "does_not_compile",
                "berth's headers do not compile with these flags:\n" + ran->output);
  auto read =
      read_dependencies(dependencies, what.folder.empty() ? fs::current_path() : what.folder);
  std::erase(read, place.header);
  std::error_code why;
  fs::rename(fresh, place.compiled, why);
  if (why)
    return fail(kind::failed, "cache_failed", place.compiled.string() + ": " + why.message());
  const auto content = store::digest_of_file(place.compiled.string());
  if (!content) return content.error();
  std::ofstream(place.compiled.string() + ".sum") << content->hex() << '\n';
  const auto mark = *scratch / "mark";
  std::ofstream(mark) << "precompiled\n";
  auto kept = cache.add(key, read, mark, began);
  fs::remove_all(*scratch, why);
  if (!kept) return std::move(kept.error());
  return read;
}

}  // namespace

std::vector<std::string> leading_headers(std::string_view text) {
  constexpr std::string_view start = "#include <berth/";
  std::vector<std::string> headers;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' '))
      line.remove_suffix(1);
    if (!blank_or_comment(line)) break;
    const auto close = line.find('>');
    if (line.starts_with(start) && close != std::string_view::npos)
      headers.emplace_back(line.substr(10, close - 10));
  }
  return headers;
}

result<precompiled> precompile(const std::vector<std::string>& headers,
                               const toolchain& tools,
                               const std::vector<std::string>& compile_flags,
                               const build_request& what,
                               const build_cache& cache) {
  const auto key = key_of(headers, tools, compile_flags, what);
  const auto place = place_of(tools, cache, key);
  const auto use = use_of(tools, place.header, place.compiled);
  const auto found = [&]() -> std::optional<precompiled> {
    auto there = cache.find(key);
    if (!there || !fs::exists(place.compiled)) return std::nullopt;
    return precompiled{use, 0, std::move(there->read)};
  };
  if (auto ready = found()) return std::move(*ready);
  std::error_code why;
  fs::create_directories(place.folder, why);
  const base::unique_fd turn(
      ::open((place.folder / "turn").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (why || !turn)
    return fail(kind::failed, "cache_failed", place.folder.string() + " cannot be written");
  while (::flock(turn.get(), LOCK_EX) != 0 && errno == EINTR) {
  }
  if (auto ready = found()) return std::move(*ready);
  if (what.progress) what.progress("precompiling berth's headers, once for these flags");
  const auto began = base::steady::now();
  auto read = make(headers, place, tools, compile_flags, what, cache, key);
  if (!read) return std::move(read.error()).at("while precompiling berth's headers");
  return precompiled{use, base::ms_since(began), std::move(*read)};
}

}  // namespace berth::module
