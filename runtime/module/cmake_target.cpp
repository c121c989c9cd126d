// A target of the user's own CMake build. What the target makes, and with which flags, is asked through CMake's file
// API (cmake-file-api(7), object kind "codemodel" version 2), which any generator answers.

#include "runtime/module/build.hpp"
#include "runtime/module/command.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>

namespace berth::module {

namespace fs = std::filesystem;

namespace {

namespace json = boost::json;

error_info unreadable(const fs::path& file) {
  return fail(kind::failed, "cmake_answer",
              "CMake's answer in " + file.string()
                  + " cannot be read: run cmake on the build folder again");
}

result<json::value> read_json(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  boost::system::error_code why;
  auto parsed = json::parse(text, why);
  if (!in || why) return unreadable(file);
  return parsed;
}

/// The text at a path of member names and indices; empty when there is none.
std::string text_at(const json::value& from, std::string_view pointer) {
  boost::system::error_code why;
  const auto* found = from.find_pointer(pointer, why);
  return found && found->is_string() ? std::string(found->get_string()) : std::string();
}

const json::array* list_at(const json::value& from, std::string_view pointer) {
  boost::system::error_code why;
  const auto* found = from.find_pointer(pointer, why);
  return found ? found->if_array() : nullptr;
}

/// One build folder, asked about one target.
class cmake_build {
 public:
  explicit cmake_build(const target_request& what)
      : what_(what), api_(what.build_folder / ".cmake/api/v1") {}

  result<built> run() {
    if (!fs::exists(what_.build_folder / "CMakeCache.txt"))
      return fail(kind::missing, "no_cmake_build",
                  what_.build_folder.string() + " is no CMake build folder: run cmake -B "
                      + what_.build_folder.string() + " first");
    if (auto ok = ask(); !ok) return std::move(ok.error());
    const auto began = std::chrono::steady_clock::now();
    // Unknown targets are told apart from failing builds before anything is built.
    if (auto known = find_target(); !known) return std::move(known.error());
    if (auto ok = build(); !ok) return std::move(ok.error());
    auto target = find_target();
    if (!target) return std::move(target.error());
    auto made = artifact(*target);
    if (made)
      made->compile_ms =
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began)
              .count();
    return made;
  }

 private:
  // The query stays in the folder, so that later runs of the build keep the answer up to date by themselves.
  result<void> ask() {
    const auto query = api_ / "query/client-berth/codemodel-v2";
    if (fs::exists(query) && index_file()) return {};
    std::error_code why;
    fs::create_directories(query.parent_path(), why);
    std::ofstream(query).flush();
    if (what_.progress) what_.progress("configuring " + what_.build_folder.string());
    auto ran = module::run({{"cmake", what_.build_folder.string()}, {}, {}}, what_.stop);
    if (!ran) return std::move(ran.error());
    if (ran->exit_code != 0)
      return fail(kind::invalid, "does_not_configure", "cmake fails:\n" + ran->output);
    if (!index_file())
      return fail(kind::failed, "cmake_answer",
                  "cmake gives no answer in " + api_.string() + ": CMake 3.14 or newer is needed");
    return {};
  }

  // The newest answer sorts last.
  [[nodiscard]] std::optional<fs::path> index_file() const {
    std::optional<fs::path> newest;
    std::error_code why;
    for (const auto& one : fs::directory_iterator(api_ / "reply", why))
      if (one.path().filename().string().starts_with("index-") && (!newest || *newest < one.path()))
        newest = one.path();
    return newest;
  }

  result<json::value> find_target() {
    auto index = read_json(*index_file());
    if (!index) return index;
    const auto model_file = text_at(*index, "/reply/client-berth/codemodel-v2/jsonFile");
    if (model_file.empty()) return unreadable(*index_file());
    auto model = read_json(api_ / "reply" / model_file);
    if (!model) return model;
    const auto* targets = list_at(*model, "/configurations/0/targets");
    if (!targets) return unreadable(api_ / "reply" / model_file);
    std::string names;
    for (const auto& one : *targets) {
      const auto name = text_at(one, "/name");
      if (name == what_.target) return read_json(api_ / "reply" / text_at(one, "/jsonFile"));
      names += (names.empty() ? "" : ", ") + name;
    }
    return fail(kind::missing, "no_such_target",
                "the build in " + what_.build_folder.string() + " has no target " + what_.target
                    + "; it has " + (names.empty() ? "none" : names));
  }

  result<void> build() {
    if (what_.progress) what_.progress("building target " + what_.target);
    line_listener tell;
    if (what_.progress) tell = [this](std::string_view line) { what_.progress(line); };
    auto ran = module::run(
        {{"cmake", "--build", what_.build_folder.string(), "--target", what_.target}, {}, {}},
        what_.stop, std::chrono::hours(4), tell);
    if (!ran) return std::move(ran.error());
    if (ran->exit_code != 0)
      return fail(kind::invalid, "does_not_compile",
                  "target " + what_.target + " does not build:\n" + ran->output);
    return {};
  }

  result<built> artifact(const json::value& target) {
    const auto type = text_at(target, "/type");
    if (type != "SHARED_LIBRARY" && type != "MODULE_LIBRARY")
      return fail(kind::invalid, "no_library",
                  "target " + what_.target + " is of type " + type
                      + ": make it a module, add_library(" + what_.target
                      + " MODULE ...) or berth_add_module");
    const auto path = text_at(target, "/artifacts/0/path");
    built made;
    made.file = fs::path(path).is_absolute() ? fs::path(path) : what_.build_folder / path;
    if (path.empty() || !fs::exists(made.file))
      return fail(kind::failed, "no_artifact",
                  "target " + what_.target + " built, but " + made.file.string() + " is not there");
    if (const auto* fragments = list_at(target, "/compileGroups/0/compileCommandFragments"))
      for (const auto& one : *fragments)
        made.flags += (made.flags.empty() ? "" : " ") + text_at(one, "/fragment");
    return made;
  }

  const target_request& what_;
  const fs::path api_;
};

}  // namespace

result<built> build_target(const target_request& what) {
  return cmake_build(what).run();
}

}  // namespace berth::module
