#include "runtime/module/build.hpp"

#include "runtime/base/clock.hpp"
#include "runtime/module/command.hpp"
#include "runtime/module/precompiled.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <thread>

namespace berth::module {

namespace fs = std::filesystem;

namespace {

// Variables that change what a compiler or linker reads.
constexpr const char* steering_variables[] = {
    "CPATH",         "C_INCLUDE_PATH",  "CPLUS_INCLUDE_PATH", "LIBRARY_PATH",
    "COMPILER_PATH", "GCC_EXEC_PREFIX", "SOURCE_DATE_EPOCH"};

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& one : words)
    text += (text.empty() ? "" : " ") + one;
  return text;
}

bool is_source(const fs::path& file) {
  const auto extension = file.extension();
  return extension == ".cpp" || extension == ".cc" || extension == ".cxx" || extension == ".c++"
         || extension == ".C";
}

result<std::string> read_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(kind::missing, "no_source", "there is no source file " + file.string());
  return std::string{std::istreambuf_iterator<char>(in), {}};
}

/// Ends a build's intermediate files with it.
class scratch_folder {
 public:
  explicit scratch_folder(fs::path path) : path_(std::move(path)) {}

  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;

  ~scratch_folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }

  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

struct source_file {
  fs::path path;
  std::string text;
  std::vector<std::string> header_flags;
};

/// One build from its request to its artifact.
class source_build {
 public:
  explicit source_build(const build_request& what)
      : what_(what),
        folder_(what.folder.empty() ? fs::current_path() : what.folder),
        cache_(what.cache / "build") {}

  result<built> run() {
    if (auto ok = prepare(); !ok) return std::move(ok.error());
    const auto key = whole_key();
    if (auto found = cache_.find(key)) {
      made_.file = std::move(found->artifact);
      made_.from_cache = true;
      return std::move(made_);
    }
    const auto began = file_clock_ns();
    if (auto ok = headers(); !ok) return std::move(ok.error());
    auto scratch = cache_.scratch();
    if (!scratch) return std::move(scratch.error());
    const scratch_folder folder(*scratch);
    if (auto ok = compile_all(folder.path()); !ok) return std::move(ok.error());
    auto file = link(folder.path());
    if (!file) return std::move(file.error());
    auto kept = cache_.add(key, read_by_all(folder.path()), *file, began);
    if (!kept) return std::move(kept.error());
    made_.file = *kept;
    return std::move(made_);
  }

 private:
  result<void> prepare() {
    if (what_.sources.empty())
      return fail(kind::invalid, "no_source", "a build needs at least one source file");
    auto tools = find_toolchain(what_.compiler, what_.flags);
    if (!tools) return std::move(tools.error());
    tools_ = *tools;
    for (const auto& one : what_.sources) {
      if (!is_source(one))
        return fail(
            kind::invalid, "no_source",
            one.string() + " is no C++ source (.cpp, .cc, .cxx, .c++) and no shared object (.so)");
      const auto path = one.is_absolute() ? one : folder_ / one;
      auto text = read_file(path);
      if (!text) return std::move(text.error());
      sources_.push_back({path, std::move(*text), {}});
    }
    flags_ = compile_flags();
    made_.flags = joined(flags_) + (what_.link.empty() ? "" : " " + joined(what_.link));
    return {};
  }

  // The user's flags come last, so that they win.
  [[nodiscard]] std::vector<std::string> compile_flags() const {
    std::vector<std::string> flags{"-std=c++20", "-fPIC", "-fvisibility=hidden"};
    if (what_.flags.empty()) flags.emplace_back("-O2");
    for (const auto& one : what_.flags)
      if (!one.starts_with("-fuse-ld=")) flags.push_back(one);
    return flags;
  }

  [[nodiscard]] std::vector<std::string> include_flags() const {
    std::vector<std::string> flags;
    for (const auto& one : what_.includes)
      flags.push_back("-I" + one.string());
    return flags;
  }

  [[nodiscard]] store::digest whole_key() const {
    store::hasher h;
    h.add("module build 1\n" + tools_.identity + folder_.string() + '\n' + tools_.linker_flag
          + '\n');
    for (const auto& one : flags_)
      h.add(one + '\n');
    for (const auto& one : include_flags())
      h.add(one + '\n');
    for (const auto& one : what_.flags)
      h.add("f " + one + '\n');
    for (const auto& one : what_.link)
      h.add("l " + one + '\n');
    h.add("library " + what_.library.string() + '\n');
    for (const auto* name : steering_variables)
      if (const char* value = std::getenv(name)) h.add(std::string(name) + '=' + value + '\n');
    for (const auto& one : sources_)
      h.add("source " + one.path.string() + ' ' + store::digest_of(one.text).hex() + '\n');
    return h.finish();
  }

  result<void> headers() {
    auto flags = flags_;
    const auto includes = include_flags();
    flags.insert(flags.end(), includes.begin(), includes.end());
    std::map<std::vector<std::string>, precompiled> made;
    for (auto& one : sources_) {
      const auto wanted = leading_headers(one.text);
      if (wanted.empty()) continue;
      if (!made.contains(wanted)) {
        auto ready = precompile(wanted, tools_, flags, what_, cache_);
        if (!ready) return std::move(ready.error());
        made_.header_ms += ready->made_ms;
        precompiled_from_.insert(ready->read.begin(), ready->read.end());
        made.emplace(wanted, std::move(*ready));
      }
      one.header_flags = made[wanted].flags;
    }
    return {};
  }

  static fs::path object_of(const fs::path& scratch, std::size_t i) {
    return scratch / (std::to_string(i) + ".o");
  }

  static fs::path dependencies_of(const fs::path& scratch, std::size_t i) {
    return scratch / (std::to_string(i) + ".d");
  }

  [[nodiscard]] command_line compile_line(const source_file& source,
                                          const fs::path& scratch,
                                          std::size_t i) const {
    command_line line{{}, {}, folder_.string()};
    if (!tools_.cache.empty()) {
      line.argv.push_back(tools_.cache);
      // With a precompiled header ccache has to be told that its macros do not matter. Depend mode spares a
      // preprocessor run on a miss; the header's own digest lies beside it, so that ccache need not hash it.
      line.variables = {{"CCACHE_SLOPPINESS", "pch_defines,time_macros"},
                        {"CCACHE_DEPEND", "1"},
                        {"CCACHE_PCH_EXTSUM", "1"}};
    }
    line.argv.push_back(tools_.compiler);
    const auto put = [&](const std::vector<std::string>& words) {
      line.argv.insert(line.argv.end(), words.begin(), words.end());
    };
    put(flags_);
    put(include_flags());
    put(source.header_flags);
    put({"-MD", "-MF", dependencies_of(scratch, i).string(), "-c", source.path.string(), "-o",
         object_of(scratch, i).string()});
    return line;
  }

  result<void> compile_all(const fs::path& scratch) {
    const auto began = base::steady::now();
    std::atomic<std::size_t> next = 0;
    std::mutex mutex;
    result<void> outcome;
    const auto work = [&] {
      for (auto i = next++; i < sources_.size(); i = next++) {
        auto ok = compile(scratch, i, mutex);
        const std::scoped_lock lock(mutex);
        if (!ok && outcome) {
          outcome = std::move(ok);
          next = sources_.size();
        }
      }
    };
    {
      const auto more =
          std::min<std::size_t>(std::max(1U, std::thread::hardware_concurrency()), sources_.size())
          - 1;
      std::vector<std::jthread> helpers;
      for (std::size_t i = 0; i < more; ++i)
        helpers.emplace_back(work);
      work();
    }
    made_.compile_ms = base::ms_since(began);
    return outcome;
  }

  result<void> compile(const fs::path& scratch, std::size_t i, std::mutex& mutex) {
    const auto& source = sources_[i];
    if (what_.progress) {
      const std::scoped_lock lock(mutex);
      what_.progress("compiling " + source.path.filename().string());
    }
    auto ran = module::run(compile_line(source, scratch, i), what_.stop);
    if (!ran) return std::move(ran.error());
    if (ran->exit_code != 0)
      return fail(kind::invalid, "does_not_compile",
                  source.path.string() + " does not compile:\n" + ran->output);
    const std::scoped_lock lock(mutex);
    made_.warnings += ran->output;
    return {};
  }

  result<fs::path> link(const fs::path& scratch) {
    if (what_.progress) what_.progress("linking");
    const auto began = base::steady::now();
    const auto file = scratch / "module.so";
    command_line line{{tools_.compiler, "-shared", "-Wl,--build-id=sha1"}, {}, folder_.string()};
    const auto put = [&](const std::string& word) { line.argv.push_back(word); };
    if (!tools_.linker_flag.empty()) put(tools_.linker_flag);
    for (const auto& one : what_.flags)
      put(one);
    for (std::size_t i = 0; i < sources_.size(); ++i)
      put(object_of(scratch, i).string());
    for (const auto& one : what_.link)
      put(one);
    if (!what_.link.empty()) put("-Wl,--trace");
    if (!what_.library.empty()) put(what_.library.string());
    put("-o");
    put(file.string());
    auto ran = module::run(line, what_.stop);
    if (!ran) return std::move(ran.error());
    if (ran->exit_code != 0)
      return fail(kind::invalid, "does_not_link", "the module does not link:\n" + ran->output);
    if (!what_.link.empty()) linked_ = std::move(ran->output);
    made_.link_ms = base::ms_since(began);
    return file;
  }

  // Headers the compiler named and files the linker named, less what lies in the cache itself.
  [[nodiscard]] std::vector<fs::path> read_by_all(const fs::path& scratch) const {
    auto files = precompiled_from_;
    for (std::size_t i = 0; i < sources_.size(); ++i)
      for (auto& one : read_dependencies(dependencies_of(scratch, i), folder_))
        files.insert(one.lexically_normal());
    for (std::string_view rest = linked_; !rest.empty();) {
      const auto end = std::min(rest.find('\n'), rest.size());
      files.insert((folder_ / fs::path(rest.substr(0, end))).lexically_normal());
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    if (!what_.library.empty()) files.insert(what_.library);
    const auto own = cache_.folder().string();
    std::erase_if(files, [&](const fs::path& one) {
      return one.string().starts_with(own) || !stamp_of(one);
    });
    return {files.begin(), files.end()};
  }

  const build_request& what_;
  const fs::path folder_;
  const build_cache cache_;
  toolchain tools_;
  std::vector<source_file> sources_;
  std::vector<std::string> flags_;
  std::set<fs::path> precompiled_from_;
  std::string linked_;
  built made_;
};

}  // namespace

result<built> build(const build_request& what) {
  return source_build(what).run();
}

}  // namespace berth::module
