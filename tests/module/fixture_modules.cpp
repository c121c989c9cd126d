#include "tests/module/fixture_modules.hpp"

#include "runtime/module/command.hpp"
#include "runtime/module/exports.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>

namespace berth::module::test {

namespace fs = std::filesystem;

std::vector<std::string> compilers() {
  std::vector<std::string> found;
  for (const auto* one : {"g++", "clang++-14"})
    if (!find_program(one).empty()) found.emplace_back(one);
  return found;
}

build_request request_for(const std::vector<std::string>& sources, const std::string& compiler) {
  build_request r;
  for (const auto& one : sources)
    r.sources.push_back(one.front() == '/' ? fs::path(one) : fs::path(BERTH_TEST_FIXTURES) / one);
  r.flags = {"-O1", "-Wall", "-Wextra"};
  r.compiler = compiler;
  r.includes = {BERTH_TEST_INCLUDE};
  r.cache = BERTH_TEST_CACHE;
  return r;
}

fs::path build_fixture(const std::string& source, const std::string& compiler) {
  auto made = build(request_for({source}, compiler));
  if (made && made->warnings.empty()) return made->file;
  std::fprintf(stderr, "fixture %s: %s\n", source.c_str(),
               made ? made->warnings.c_str() : made.error().to_string().c_str());
  std::abort();
}

blob blob_shelf::put(std::string bytes) {
  const blob b{store::digest_of(bytes), bytes.size()};
  held_[b.digest] = sealed_copy(std::as_bytes(std::span(bytes)), "blob").value();
  return b;
}

blob blob_shelf::put_file(const fs::path& file) {
  base::unique_fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  const blob b{store::digest_of_file(fd.get()).value(), fs::file_size(file)};
  held_[b.digest] = std::move(fd);
  return b;
}

int blob_shelf::find(const store::digest& which) const {
  const auto at = held_.find(which);
  return at == held_.end() ? -1 : at->second.get();
}

temporary_folder::temporary_folder() {
  auto pattern = (fs::temp_directory_path() / "berth-module-XXXXXX").string();
  if (!::mkdtemp(pattern.data())) std::abort();
  path_ = pattern;
}

temporary_folder::~temporary_folder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void write_file(const fs::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

told::told()
    : sink_{this,
            [](void* self, std::uint64_t size, std::uint32_t) -> void* {
              auto& to = *static_cast<told*>(self);
              to.block_.assign(size / 8, 0xabababababababab);
              to.size_ = size;
              return to.block_.data();
            },
            [](void* self, const berth_external* externals, std::uint32_t count) {
              auto& to = *static_cast<told*>(self);
              for (std::uint32_t i = 0; i < count; ++i) {
                const auto* from = static_cast<const std::byte*>(externals[i].data);
                to.copies_.emplace_back(from, from + externals[i].size);
              }
              for (const auto& one : to.copies_)
                to.externals_.push_back({one.data(), one.size(), nullptr});
              return 1;
            },
            [](void* self, const berth_failure* why) {
              static_cast<told*>(self)->error_ = info_of(*why);
            }} {}

}  // namespace berth::module::test
