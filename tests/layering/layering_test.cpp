// The house's own rules, held by a program: who may include whom (the table of docs/architecture.md), what public
// headers may drag in, where each library is at home, and that every folder has a guide.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
const fs::path root = BERTH_SOURCE_DIR;

struct source {
  std::string path;  // relative to the root, with '/'
  std::vector<std::string> quoted;
  std::vector<std::string> angled;
};

std::string read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<source> sources_below(const std::string& folder) {
  static const std::regex include(R"re(^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">])re");
  std::vector<source> all;
  if (!fs::exists(root / folder)) return all;
  for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
    const auto ext = entry.path().extension();
    if (ext != ".cpp" && ext != ".hpp") continue;
    source one;
    one.path = fs::relative(entry.path(), root).generic_string();
    std::istringstream lines(read(entry.path()));
    for (std::string line; std::getline(lines, line);) {
      std::smatch m;
      if (std::regex_search(line, m, include))
        (m[1] == "\"" ? one.quoted : one.angled).push_back(m[2]);
    }
    all.push_back(std::move(one));
  }
  return all;
}

// The rows of the table in docs/architecture.md: folder -> folders it may include.
std::map<std::string, std::set<std::string>> include_table() {
  static const std::regex row(R"(^\| `([a-z/]+)` \|[^|]*\| ([^|]+) \|$)");
  std::map<std::string, std::set<std::string>> table;
  std::vector<std::string> order;
  std::istringstream lines(read(root / "docs/architecture.md"));
  for (std::string line; std::getline(lines, line);) {
    std::smatch m;
    if (!std::regex_match(line, m, row)) continue;
    const std::string folder = m[1];
    std::set<std::string> may{folder, "runtime/wire"};
    if (m[2].str().find("all above") != std::string::npos) may.insert(order.begin(), order.end());
    static const std::regex word(R"([a-z_/]+)");
    const std::string text = m[2];
    for (std::sregex_iterator it(text.begin(), text.end(), word), end; it != end; ++it)
      for (const auto& known : order)
        if (known == it->str() || known == "runtime/" + it->str()) may.insert(known);
    order.push_back(folder);
    table[folder] = may;
  }
  return table;
}

bool below(const std::string& path, const std::string& folder) {
  return path.rfind(folder + "/", 0) == 0;
}

TEST(layering, the_table_of_the_architecture_page_has_every_folder_of_the_house) {
  const auto table = include_table();
  for (const char* folder : {"runtime/base", "runtime/value", "runtime/net", "runtime/store",
                             "runtime/process", "runtime/module", "runtime/worker",
                             "runtime/client", "gpu", "scheduler", "registry", "actors", "tools"})
    EXPECT_TRUE(table.count(folder)) << folder << " has no row";
  EXPECT_FALSE(table.at("registry").count("scheduler"));
  EXPECT_FALSE(table.at("scheduler").count("gpu"));
  EXPECT_TRUE(table.at("actors").count("registry"));
}

TEST(layering, a_folder_includes_only_what_its_row_allows) {
  const auto table = include_table();
  for (const auto& [folder, may] : table) {
    for (const auto& one : sources_below(folder)) {
      for (const auto& include : one.quoted) {
        bool allowed = include.find('/') == std::string::npos;
        for (const auto& [other, ignored] : table)
          if (below(include, other)) allowed = may.count(other) != 0;
        EXPECT_TRUE(allowed) << one.path << " includes \"" << include << "\", which " << folder
                             << " may not";
      }
    }
  }
}

TEST(layering, schemas_are_included_by_sources_only) {
  for (const char* folder : {"runtime", "actors", "registry", "tools", "gpu", "scheduler"})
    for (const auto& one : sources_below(folder)) {
      if (!one.path.ends_with(".hpp")) continue;
      for (const auto& include : one.quoted)
        EXPECT_FALSE(include.ends_with(".capnp.h"))
            << one.path << " includes the schema " << include;
    }
}

TEST(layering, public_headers_drag_in_the_standard_library_and_nothing_else) {
  for (const char* folder : {"runtime/include", "gpu/include"})
    for (const auto& one : sources_below(folder)) {
      EXPECT_TRUE(one.quoted.empty())
          << one.path << " includes \"" << (one.quoted.empty() ? "" : one.quoted[0]) << '"';
      for (const auto& include : one.angled) {
        const bool ours = below(include, "berth");
        const bool standard = include.find('/') == std::string::npos || below(include, "sys");
        EXPECT_TRUE(ours || standard) << one.path << " includes <" << include << ">";
      }
    }
}

TEST(layering, each_library_stays_in_its_home) {
  const std::map<std::string, std::set<std::string>> homes{
      {"caf", {"actors", "tests"}},
      {"capnp", {"runtime", "actors", "tools", "tests"}},
      {"kj", {"runtime", "actors", "tools", "tests"}},
      {"boost", {"runtime/value", "tools", "tests", "runtime/net", "runtime/module"}},
      {"CLI", {"tools", "tests"}},
      {"sqlite3.h", {"registry", "tests"}},
      {"hwloc.h", {"gpu", "tests"}},
      {"openssl", {"runtime/store", "runtime/net", "tools", "tests"}},
  };
  for (const char* folder :
       {"runtime", "gpu", "scheduler", "registry", "actors", "tools", "samples", "tests"})
    for (const auto& one : sources_below(folder))
      for (const auto& include : one.angled)
        for (const auto& [library, where] : homes) {
          if (include != library && !below(include, library)) continue;
          bool home = false;
          for (const auto& place : where)
            home = home || below(one.path, place);
          EXPECT_TRUE(home) << one.path << " includes <" << include << ">, whose home is elsewhere";
        }
}

TEST(layering, samples_include_public_headers_only) {
  for (const auto& one : sources_below("samples"))
    for (const auto& include : one.quoted)
      EXPECT_EQ(include.find('/'), std::string::npos)
          << one.path << " includes \"" << include << '"';
}

TEST(layering, every_folder_has_a_guide) {
  for (const char* folder :
       {"runtime", "runtime/base", "runtime/wire", "runtime/value", "runtime/net", "runtime/store",
        "runtime/process", "runtime/module", "runtime/worker", "runtime/client", "gpu", "scheduler",
        "registry", "actors", "tools", "samples", "tests", "docs"})
    if (!sources_below(folder).empty()) {
      EXPECT_TRUE(fs::exists(root / folder / "README.md")) << folder << " has no README.md";
    }
}

TEST(layering, no_header_lacks_its_guard_and_no_file_hides_more_than_one_noun) {
  for (const char* folder : {"runtime", "gpu", "scheduler", "registry", "actors", "tools"})
    for (const auto& one : sources_below(folder)) {
      const auto text = read(root / one.path);
      if (one.path.ends_with(".hpp")) {
        EXPECT_NE(text.find("#pragma once"), std::string::npos) << one.path;
      }
      EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 700)
          << one.path << " has outgrown one noun";
    }
}

}  // namespace
