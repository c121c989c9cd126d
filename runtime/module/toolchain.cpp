#include "runtime/module/toolchain.hpp"

#include "runtime/module/build_cache.hpp"
#include "runtime/module/command.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

namespace berth::module {

namespace {

std::string described(const std::string& path) {
  const auto stamp = stamp_of(path);
  return path + ' '
         + (stamp ? std::to_string(stamp->bytes) + ' ' + std::to_string(stamp->modified_ns) : "?")
         + '\n';
}

std::string resolved(const std::string& path) {
  std::error_code why;
  const auto real = std::filesystem::canonical(path, why);
  return why ? path : real.string();
}

struct linker_choice {
  const char* program;
  const char* flag;
};

// Fastest first; each is asked for by the name under which both compilers look for it.
constexpr linker_choice linkers[] = {
    {"mold", "-fuse-ld=mold"}, {"ld.lld", "-fuse-ld=lld"}, {"ld.gold", "-fuse-ld=gold"}};

}  // namespace

result<toolchain> find_toolchain(const std::string& wanted, const std::vector<std::string>& flags) {
  std::vector<std::string> names;
  if (!wanted.empty())
    names = {wanted};
  else if (const char* from = std::getenv("CXX"); from && *from)
    names = {from};
  else
    names = {"c++", "g++", "clang++"};
  toolchain found;
  for (const auto& name : names)
    if (auto path = find_program(name); !path.empty() && found.compiler.empty())
      found.compiler = resolved(path);
  if (found.compiler.empty())
    return fail(kind::missing, "no_compiler",
                "there is no compiler " + names.front()
                    + " in PATH: install g++ or clang, or name one with --compiler");
  // A ccache that stands in for the compiler (/usr/lib/ccache/g++) would be asked twice.
  if (std::filesystem::path(found.compiler).filename() == "ccache")
    return fail(kind::invalid, "no_compiler",
                names.front() + " is ccache itself: name the compiler, ccache is used anyway");
  const auto file = std::filesystem::path(found.compiler).filename().string();
  if (file.find("clang") != std::string::npos) found.made_by = toolchain::family::clang;
  found.identity = described(found.compiler);
  const bool chosen = std::any_of(flags.begin(), flags.end(),
                                  [](const auto& f) { return f.starts_with("-fuse-ld="); });
  for (const auto& one : linkers) {
    if (chosen || !found.linker_flag.empty()) break;
    if (auto path = find_program(one.program); !path.empty()) {
      found.linker_flag = one.flag;
      found.identity += described(resolved(path));
    }
  }
  found.cache = find_program("ccache");
  return found;
}

}  // namespace berth::module
