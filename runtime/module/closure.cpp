#include "runtime/module/closure.hpp"

#include "runtime/module/file_mapping.hpp"
#include "runtime/store/digest.hpp"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <glob.h>
#include <map>
#include <optional>
#include <set>
#include <sstream>

namespace berth::module {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t libraries_max = 1024;
constexpr int includes_deep_max = 8;

struct read_object {
  elf_summary summary;
  blob content;
};

// Headers and notes only, unless the bytes have to be named.
result<read_object> read(const fs::path& file, bool with_digest) {
  auto bytes = file_mapping::of(file);
  if (!bytes) return std::move(bytes.error());
  auto summary = read_elf(bytes->bytes());
  if (!summary) return std::move(summary.error()).at("while reading " + file.string());
  read_object object{std::move(*summary), {{}, bytes->bytes().size()}};
  if (with_digest) object.content.digest = store::digest_of(bytes->bytes());
  return object;
}

void read_conf(const fs::path& file, int deep, std::vector<fs::path>& to) {
  std::ifstream in(file);
  for (std::string line; deep < includes_deep_max && std::getline(in, line);) {
    line.resize(std::min(line.find('#'), line.size()));
    std::istringstream words(line);
    std::string first;
    if (!(words >> first)) continue;
    if (first != "include") {
      to.emplace_back(first);
      continue;
    }
    for (std::string pattern; words >> pattern;) {
      glob_t found{};
      if (::glob(pattern.c_str(), 0, nullptr, &found) == 0)
        for (std::size_t i = 0; i < found.gl_pathc; ++i)
          read_conf(found.gl_pathv[i], deep + 1, to);
      ::globfree(&found);
    }
  }
}

std::vector<fs::path> split_path(std::string_view list) {
  std::vector<fs::path> folders;
  while (!list.empty()) {
    const auto end = std::min(list.find(':'), list.size());
    if (end != 0) folders.emplace_back(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return folders;
}

std::string replaced(std::string text, std::string_view what, const std::string& with) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
  return text;
}

std::vector<fs::path> runpath_of(const elf_summary& of, const fs::path& file) {
  const auto origin = fs::absolute(file).parent_path().string();
  return split_path(replaced(replaced(of.runpath, "${ORIGIN}", origin), "$ORIGIN", origin));
}

/// The breadth-first walk.
class closure_walk {
 public:
  explicit closure_walk(const library_folders& folders) : folders_(folders) {}

  result<closure> run(const fs::path& module) {
    auto root = read(module, false);
    if (!root) return std::move(root.error());
    if (auto ok = claim(root->summary.build_id, module); !ok) return std::move(ok.error());
    open_.push_back({root->summary, module, false});
    while (!open_.empty()) {
      const auto one = std::move(open_.front());
      open_.pop_front();
      for (const auto& name : one.summary.needed)
        if (seen_.insert(name).second)
          if (auto ok = add(name, one); !ok) return std::move(ok.error());
      if (seen_.size() > libraries_max)
        return fail(kind::invalid, "too_many_libraries",
                    "the module needs more than 1024 libraries");
    }
    return std::move(found_);
  }

 private:
  struct object {
    elf_summary summary;
    fs::path file;
    bool system;
  };

  result<void> add(const std::string& name, const object& needed_by) {
    if (name.starts_with("libberth.so")) {
      found_.system.push_back({name, {}});
      return {};
    }
    const auto place = find(name, needed_by);
    if (!place)
      return fail(kind::missing, "no_such_library",
                  needed_by.file.filename().string() + " needs " + name
                      + ", which is in none of the loader's folders: install it, or give its folder (-Wl,-rpath,FOLDER)");
    const bool system = needed_by.system || is_system(*place);
    auto library = read(*place, !system);
    if (!library) return std::move(library.error());
    if (auto ok = claim(library->summary.build_id, *place); !ok) return ok;
    if (system) {
      found_.system.push_back({name, library->summary.build_id});
    } else {
      if (library->summary.soname != name)
        return fail(kind::invalid, "no_soname",
                    place->string() + " cannot travel as " + name + ": its soname is \""
                        + library->summary.soname + "\"; link it with -Wl,-soname," + name);
      found_.carried.push_back({{name, library->content}, *place});
    }
    open_.push_back({std::move(library->summary), *place, system});
    return {};
  }

  std::optional<fs::path> find(const std::string& name, const object& needed_by) const {
    std::error_code why;
    if (name.find('/') != std::string::npos)
      return fs::exists(name, why) ? std::optional<fs::path>(name) : std::nullopt;
    for (const auto& list :
         {runpath_of(needed_by.summary, needed_by.file), folders_.more, folders_.system})
      for (const auto& folder : list)
        if (const auto file = folder / name; fs::exists(file, why)) return file;
    return std::nullopt;
  }

  bool is_system(const fs::path& file) const {
    std::error_code why;
    const auto folder = fs::canonical(file, why).parent_path();
    return std::any_of(folders_.system.begin(), folders_.system.end(), [&](const fs::path& one) {
      std::error_code not_there;
      return file.parent_path() == one || folder == fs::canonical(one, not_there);
    });
  }

  // Functions of a program are known by build id and place, so the same id for other bytes would mix them up.
  result<void> claim(const std::string& build_id, const fs::path& file) {
    if (build_id.empty()) return {};
    const auto [at, fresh] = owners_.emplace(build_id, file);
    std::error_code why;
    if (fresh || fs::equivalent(at->second, file, why)) return {};
    return fail(kind::invalid, "twin_build_id",
                at->second.string() + " and " + file.string() + " both claim build id " + build_id
                    + ": link each with a build id of its own (-Wl,--build-id=sha1)");
  }

  const library_folders& folders_;
  std::deque<object> open_;
  std::set<std::string> seen_;
  std::map<std::string, fs::path> owners_;
  closure found_;
};

}  // namespace

library_folders library_folders::of_this_machine() {
  library_folders all;
  read_conf("/etc/ld.so.conf", 0, all.system);
#if defined(__x86_64__)
  const std::string multiarch = "x86_64-linux-gnu";
#else
  const std::string multiarch = "aarch64-linux-gnu";
#endif
  for (const auto& one : {"/lib/" + multiarch, "/usr/lib/" + multiarch, std::string("/lib64"),
                          std::string("/usr/lib64"), std::string("/lib"), std::string("/usr/lib")})
    all.system.emplace_back(one);
  if (const char* more = std::getenv("LD_LIBRARY_PATH")) all.more = split_path(more);
  return all;
}

result<closure> find_closure(const fs::path& module, const library_folders& folders) {
  return closure_walk(folders).run(module);
}

}  // namespace berth::module
