#include "tests/bench/ship/compile_floor.hpp"

#include "runtime/module/precompiled.hpp"
#include "tests/bench/support/settings.hpp"

#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

namespace berth::bench {
namespace {

namespace fs = std::filesystem;

std::string read_text(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

double run_ms(const module::command_line& line) {
  const double from = now_s();
  const auto ran = module::run(line);
  const double took = (now_s() - from) * 1e3;
  if (ran && ran->exit_code != 0) std::fprintf(stderr, "%s\n", ran->output.c_str());
  expect(ran && ran->exit_code == 0, "a compiler or linker of the floor failed");
  return took;
}

/// The file that `header` names in one of the folders, or nothing.
fs::path found_in(const std::vector<fs::path>& includes, const std::string& header) {
  for (const auto& folder : includes)
    if (fs::exists(folder / header)) return folder / header;
  return {};
}

void collect(const std::vector<fs::path>& includes,
             const std::string& header,
             std::set<std::string>& ours,
             std::set<std::string>& standard) {
  const auto file = found_in(includes, header);
  if (file.empty()) {
    standard.insert(header);
    return;
  }
  if (!ours.insert(header).second) return;
  std::istringstream lines(read_text(file));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("#include <")) continue;
    collect(includes, line.substr(10, line.find('>') - 10), ours, standard);
  }
}

}  // namespace

compile_floor::compile_floor(const client::ship_places& places,
                             const fs::path& source,
                             fs::path folder)
    : library_(places.library.string()), folder_(std::move(folder)) {
  module::build_request request;
  request.sources = {source};
  request.includes = places.includes;
  request.library = places.library;
  request.cache = places.cache;
  request.folder = fs::current_path();
  const auto built = module::build(request);
  if (!built) std::fprintf(stderr, "%s\n", built.error().to_string().c_str());
  expect(built.has_value(), "the module of the floor does not build");
  tools_ = module::find_toolchain({}, {}).value();
  flags_ = words_of(built->flags);
  for (const auto& one : places.includes)
    flags_.push_back("-I" + one.string());
  header_flags_ = module::precompile(module::leading_headers(read_text(source)), tools_, flags_,
                                     request, module::build_cache(places.cache / "build"))
                      .value()
                      .flags;
}

std::vector<std::string> compile_floor::compiles(const fs::path& source) const {
  std::vector<std::string> line{tools_.compiler};
  line.insert(line.end(), flags_.begin(), flags_.end());
  line.insert(line.end(), header_flags_.begin(), header_flags_.end());
  for (const auto& word :
       {std::string("-c"), source.string(), std::string("-o"), (folder_ / "floor.o").string()})
    line.push_back(word);
  return line;
}

double compile_floor::compile_and_link_ms(const fs::path& source) const {
  std::vector<std::string> link{tools_.compiler, "-shared", "-Wl,--build-id=sha1"};
  if (!tools_.linker_flag.empty()) link.push_back(tools_.linker_flag);
  for (const auto& word : {(folder_ / "floor.o").string(), library_, std::string("-o"),
                           (folder_ / "floor.so").string()})
    link.push_back(word);
  return run_ms({compiles(source), {}, {}}) + run_ms({link, {}, {}});
}

double compile_floor::cached_compile_ms(const fs::path& source) const {
  auto line = compiles(source);
  line.insert(line.begin(), tools_.cache);
  // A precompiled header is cached only when ccache is told that its macros do not matter.
  return run_ms({line,
                 {{"CCACHE_SLOPPINESS", "pch_defines,time_macros"},
                  {"CCACHE_DEPEND", "1"},
                  {"CCACHE_PCH_EXTSUM", "1"}},
                 {}});
}

double compile_floor::plain_compile_ms(const fs::path& source) const {
  std::vector<std::string> line{tools_.compiler};
  line.insert(line.end(), flags_.begin(), flags_.end());
  for (const auto& word :
       {std::string("-c"), source.string(), std::string("-o"), (folder_ / "plain.o").string()})
    line.push_back(word);
  return run_ms({line, {}, {}});
}

std::string compile_floor::words() const {
  return fs::path(tools_.compiler).filename().string()
         + (tools_.linker_flag.empty() ? ", the compiler's own linker" : ", " + tools_.linker_flag);
}

std::vector<std::string> standard_headers_of(const std::vector<fs::path>& includes,
                                             std::string_view from) {
  std::set<std::string> ours, standard;
  collect(includes, std::string(from), ours, standard);
  return {standard.begin(), standard.end()};
}

}  // namespace berth::bench
