#include "runtime/base/folders.hpp"

#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>
#include <map>
#include <sys/stat.h>

namespace {

using berth::base::find_folders;

berth::base::environment variables(std::map<std::string, std::string> set) {
  return [set = std::move(set)](const char* name) -> std::optional<std::string> {
    auto found = set.find(name);
    if (found == set.end()) return std::nullopt;
    return found->second;
  };
}

TEST(folders, follow_the_xdg_rules_for_a_user) {
  auto found =
      find_folders(variables({{"HOME", "/home/ada"}, {"XDG_RUNTIME_DIR", "/run/user/7"}}), 7);
  EXPECT_EQ(found.runtime, "/run/user/7/berth");
  EXPECT_EQ(found.state, "/home/ada/.local/state/berth");
  EXPECT_EQ(found.cache, "/home/ada/.cache/berth");
  EXPECT_EQ(found.config, "/home/ada/.config/berth");
}

TEST(folders, are_the_systems_own_for_root) {
  auto found = find_folders(variables({{"HOME", "/root"}, {"XDG_RUNTIME_DIR", "/run/user/0"}}), 0);
  EXPECT_EQ(found.runtime, "/run/berth");
  EXPECT_EQ(found.state, "/var/lib/berth");
  EXPECT_EQ(found.cache, "/var/cache/berth");
}

TEST(folders, our_own_variables_win) {
  auto found = find_folders(variables({{"BERTH_RUNTIME_DIR", "/tmp/x"}, {"HOME", "/h"}}), 0);
  EXPECT_EQ(found.runtime, "/tmp/x");
}

TEST(folders, a_private_folder_is_closed_to_others_even_if_it_was_open) {
  berth::tests::temp_folder folder;
  const auto path = folder.path() / "a/b";
  std::filesystem::create_directories(path);
  ::chmod(path.c_str(), 0755);
  ASSERT_TRUE(berth::base::make_private(path));

  struct stat found {};

  ASSERT_EQ(::stat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0700U);
}

TEST(folders, a_file_in_the_way_is_told) {
  berth::tests::temp_folder folder;
  const auto path = folder.write("file", "x");
  auto made = berth::base::make_private(path);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("not a folder"), std::string::npos);
}

TEST(folders, a_socket_path_too_long_names_the_variable_to_set) {
  auto path = berth::base::socket_path("/tmp/" + std::string(120, 'x'), "node.sock");
  ASSERT_FALSE(path);
  EXPECT_EQ(path.error().kind, berth::kind::invalid);
  EXPECT_NE(path.error().message.find("BERTH_RUNTIME_DIR"), std::string::npos);
}

}  // namespace
