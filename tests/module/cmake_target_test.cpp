#include "runtime/module/build.hpp"
#include "runtime/module/command.hpp"
#include "tests/module/fixture_modules.hpp"

#include <gtest/gtest.h>

namespace berth::module {
namespace {

using test::write_file;

/// A user's own CMake project with a module, a program and a target that does not compile.
class project : public testing::Test {
 protected:
  void SetUp() override {
    write_file(folder.path() / "CMakeLists.txt",
               "cmake_minimum_required(VERSION 3.14)\nproject(p CXX)\nadd_library(m MODULE m.cpp)\n"
               "target_compile_options(m PRIVATE -O1)\nadd_executable(e e.cpp)\n"
               "add_library(broken MODULE broken.cpp)\n");
    write_file(folder.path() / "m.cpp", "int answer() { return 1; }\n");
    write_file(folder.path() / "e.cpp", "int main() {}\n");
    write_file(folder.path() / "broken.cpp", "int f() { return undeclared_thing; }\n");
    const auto ran = run(
        {{"cmake", "-S", folder.path().string(), "-B", (folder.path() / "b").string()}, {}, {}});
    ASSERT_EQ(ran.value().exit_code, 0) << ran.value().output;
  }

  result<built> build(const std::string& target) {
    target_request r;
    r.target = target;
    r.build_folder = folder.path() / "b";
    r.progress = [this](std::string_view what) { said += std::string(what) + '\n'; };
    return build_target(r);
  }

  test::temporary_folder folder;
  std::string said;
};

TEST_F(project, a_module_target_is_built_where_it_lives) {
  auto made = build("m");
  ASSERT_TRUE(made.has_value()) << made.error().to_string();
  EXPECT_EQ(made->file.filename(), "libm.so");
  EXPECT_TRUE(std::filesystem::exists(made->file));
  EXPECT_NE(made->flags.find("-O1"), std::string::npos) << made->flags;
  EXPECT_NE(said.find("building target m"), std::string::npos);
  EXPECT_TRUE(build("m").has_value());
}

TEST_F(project, other_targets_are_refused_by_what_they_are) {
  EXPECT_EQ(build("e").error().code, "no_library");
  auto none = build("nowhere");
  EXPECT_EQ(none.error().kind, kind::missing);
  EXPECT_NE(none.error().message.find("broken, e, m"), std::string::npos) << none.error().message;
  auto broken = build("broken");
  EXPECT_EQ(broken.error().code, "does_not_compile");
  EXPECT_NE(broken.error().message.find("undeclared_thing"), std::string::npos);
}

TEST(project_folder, that_is_no_build_is_missing) {
  const test::temporary_folder folder;
  target_request r;
  r.target = "m";
  r.build_folder = folder.path();
  auto made = build_target(r);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code, "no_cmake_build");
}

}  // namespace
}  // namespace berth::module
