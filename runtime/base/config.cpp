#include "runtime/base/config.hpp"

#include "runtime/base/ensure.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <fmt/format.h>
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace berth::base {
namespace {

namespace fs = std::filesystem;

struct known_setting {
  const char* name;
  const char* built_in;
};

// Every setting there is. A new one is added here and in docs/configuration.md.
constexpr std::array known_settings{
    known_setting{"build.compiler", "c++"},    known_setting{"build.flags", "-O2"},
    known_setting{"call.patience_ms", "1000"}, known_setting{"head", ""},
    known_setting{"link.credits", "1024"},     known_setting{"output", "table"},
    known_setting{"ship.replicas", "1"},
};

std::string variable_of(std::string_view name) {
  std::string variable = "BERTH_";
  for (char c : name)
    variable += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return variable;
}

std::string text_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  if (const auto* list = node.as_array()) {
    std::string joined;
    for (const auto& item : *list)
      joined += (joined.empty() ? "" : " ") + text_of(item);
    return joined;
  }
  return {};
}

std::string known_names() {
  std::string names;
  for (const auto& one : known_settings)
    names += (names.empty() ? "" : ", ") + std::string(one.name);
  return names;
}

}  // namespace

result<config> config::load(const environment& env, const folders& where, const fs::path& project) {
  config all;
  for (const auto& one : known_settings)
    all.settings_[one.name] = {one.name, one.built_in, "built in"};
  std::vector<fs::path> files{"/etc/berth/config.toml", where.config / "config.toml"};
  std::error_code why;
  for (auto folder = fs::absolute(project, why);; folder = folder.parent_path()) {
    if (fs::exists(folder / "berth.toml", why)) {
      files.push_back(folder / "berth.toml");
      break;
    }
    if (folder == folder.parent_path()) break;
  }
  files.erase(std::unique(files.begin(), files.end()), files.end());
  for (const auto& file : files)
    if (fs::exists(file, why))
      if (auto read = all.read_file(file); !read) return std::move(read).error();
  for (auto& [name, one] : all.settings_)
    if (auto set = env(variable_of(name).c_str())) one = {name, *set, variable_of(name)};
  return all;
}

result<void> config::read_file(const fs::path& file) {
  auto parsed = toml::parse_file(file.string());
  if (!parsed)
    return fail(kind::invalid, "bad_config",
                fmt::format("{}:{}: {}", file.string(), parsed.error().source().begin.line,
                            parsed.error().description()));
  const toml::table& table = parsed;
  auto take = [&](const std::string& name, const toml::node& node) -> result<void> {
    const auto line = node.source().begin.line;
    auto found = settings_.find(name);
    if (found == settings_.end())
      return fail(kind::invalid, "unknown_setting",
                  fmt::format("{}:{}: there is no setting '{}'; settings are {}", file.string(),
                              line, name, known_names()));
    found->second = {name, text_of(node), fmt::format("{}:{}", file.string(), line)};
    return {};
  };
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    const auto* section = node.as_table();
    if (section == nullptr) {
      if (auto taken = take(name, node); !taken) return taken;
      continue;
    }
    for (const auto& [inner, value] : *section)
      if (auto taken = take(name + "." + std::string(inner.str()), value); !taken) return taken;
  }
  return {};
}

const std::string& config::get(std::string_view name) const {
  auto found = settings_.find(name);
  ensure(found != settings_.end(), "a setting that config.cpp lists");
  return found->second.value;
}

result<void> config::set(std::string_view name, std::string value) {
  auto found = settings_.find(name);
  if (found == settings_.end())
    return fail(kind::invalid, "unknown_setting",
                fmt::format("there is no setting '{}'; settings are {}", name, known_names()));
  found->second = {std::string(name), std::move(value), "flag"};
  return {};
}

std::vector<setting> config::all() const {
  std::vector<setting> rows;
  for (const auto& [name, one] : settings_)
    rows.push_back(one);
  return rows;
}

}  // namespace berth::base
