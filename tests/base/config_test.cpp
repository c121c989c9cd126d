#include "runtime/base/config.hpp"

#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>
#include <map>

namespace {

using berth::base::config;

berth::base::environment variables(std::map<std::string, std::string> set) {
  return [set = std::move(set)](const char* name) -> std::optional<std::string> {
    auto found = set.find(name);
    if (found == set.end()) return std::nullopt;
    return found->second;
  };
}

struct config_places : testing::Test {
  berth::tests::temp_folder folder;
  berth::base::folders where{folder.path() / "run", folder.path() / "state",
                             folder.path() / "cache", folder.path() / "user"};
  std::filesystem::path project = folder.path() / "project/deep";

  void SetUp() override { std::filesystem::create_directories(project); }
};

TEST_F(config_places, the_project_wins_over_the_user_and_the_environment_over_both) {
  folder.write("user/config.toml", "output = \"json\"\n[build]\nflags = [\"-O1\", \"-g\"]\n");
  folder.write("project/berth.toml", "[build]\nflags = \"-O3\"\n");
  auto read = config::load(variables({{"BERTH_OUTPUT", "table"}}), where, project);
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->get("build.flags"), "-O3");
  EXPECT_EQ(read->get("output"), "table");
  for (const auto& one : read->all()) {
    if (one.name == "build.flags") {
      EXPECT_NE(one.origin.find("berth.toml:2"), std::string::npos);
    }
    if (one.name == "output") {
      EXPECT_EQ(one.origin, "BERTH_OUTPUT");
    }
    if (one.name == "ship.replicas") {
      EXPECT_EQ(one.origin, "built in");
    }
  }
}

TEST_F(config_places, a_list_is_joined_by_spaces) {
  folder.write("user/config.toml", "[build]\nflags = [\"-O1\", \"-g\"]\n");
  auto read = config::load(variables({}), where, project);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->get("build.flags"), "-O1 -g");
}

TEST_F(config_places, a_misspelled_setting_names_file_line_and_what_there_is) {
  folder.write("project/berth.toml", "\noutptu = \"json\"\n");
  auto read = config::load(variables({}), where, project);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind, berth::kind::invalid);
  EXPECT_NE(read.error().message.find("berth.toml:2"), std::string::npos) << read.error().message;
  EXPECT_NE(read.error().message.find("output"), std::string::npos);
}

TEST_F(config_places, broken_toml_is_told_with_its_line) {
  folder.write("project/berth.toml", "output = \n");
  auto read = config::load(variables({}), where, project);
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("berth.toml:1"), std::string::npos) << read.error().message;
}

TEST_F(config_places, a_flag_wins_over_everything) {
  auto read = config::load(variables({{"BERTH_HEAD", "unix:/x"}}), where, project);
  ASSERT_TRUE(read);
  ASSERT_TRUE(read->set("head", "unix:/y"));
  EXPECT_EQ(read->get("head"), "unix:/y");
  EXPECT_FALSE(read->set("heda", "unix:/y"));
}

}  // namespace
