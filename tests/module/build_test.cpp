#include "runtime/module/build.hpp"

#include "runtime/module/precompiled.hpp"
#include "tests/module/fixture_modules.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <gtest/gtest.h>

namespace berth::module {
namespace {

using test::write_file;

constexpr auto one_function = R"(#include <berth/module.hpp>
int answer() { return VALUE; }
BERTH_EXPORT(&answer);
)";

/// Sources in a folder of their own, with a cache of their own but for the precompiled headers' sake shared flags.
class sources : public testing::Test {
 protected:
  build_request request(std::vector<std::string> names) {
    std::vector<std::string> paths;
    for (const auto& one : names)
      paths.push_back((folder.path() / one).string());
    auto r = test::request_for(paths);
    r.folder = folder.path();
    r.cache = folder.path() / "cache";
    r.progress = [this](std::string_view what) { steps.emplace_back(what); };
    return r;
  }

  // A file changed within the clock tick in which a build begins is not trusted; sources of yesterday are.
  void write_old(const std::string& name, const std::string& text) {
    write_file(folder.path() / name, text);
    const auto tick = std::chrono::steady_clock::now() + std::chrono::milliseconds(25);
    while (std::chrono::steady_clock::now() < tick) {
    }
  }

  test::temporary_folder folder;
  std::vector<std::string> steps;
};

TEST_F(sources, unchanged_ones_are_not_compiled_again) {
  write_old("m.cpp", "int helper() { return 1; }\n");
  const auto first = build(request({"m.cpp"})).value();
  EXPECT_FALSE(first.from_cache);
  steps.clear();
  const auto second = build(request({"m.cpp"})).value();
  EXPECT_TRUE(second.from_cache);
  EXPECT_EQ(second.file, first.file);
  EXPECT_TRUE(steps.empty());
}

TEST_F(sources, a_changed_source_header_or_flag_is_another_build) {
  write_old("h.hpp", "#define VALUE 1\n");
  write_old("m.cpp", "#include \"h.hpp\"\nint helper() { return VALUE; }\n");
  const auto first = build(request({"m.cpp"})).value();
  ASSERT_TRUE(build(request({"m.cpp"})).value().from_cache);
  write_old("h.hpp", "#define VALUE 2\n");
  const auto header = build(request({"m.cpp"})).value();
  EXPECT_FALSE(header.from_cache);
  EXPECT_NE(header.file, first.file);
  write_old("m.cpp", "#include \"h.hpp\"\nint helper() { return VALUE + 1; }\n");
  EXPECT_FALSE(build(request({"m.cpp"})).value().from_cache);
  auto other_flags = request({"m.cpp"});
  other_flags.flags = {"-O0"};
  EXPECT_FALSE(build(other_flags).value().from_cache);
}

TEST_F(sources, a_source_that_only_got_a_new_time_is_the_same) {
  write_old("h.hpp", "#define VALUE 1\n");
  write_old("m.cpp", "#include \"h.hpp\"\nint helper() { return VALUE; }\n");
  (void)build(request({"m.cpp"})).value();
  write_old("h.hpp", "#define VALUE 1\n");
  EXPECT_TRUE(build(request({"m.cpp"})).value().from_cache);
}

TEST_F(sources, several_files_and_the_users_own_libraries_make_one_module) {
  write_old("a.cpp",
            "int one();\nextern \"C\" __attribute__((visibility(\"default\"))) int sum() { return "
            "one() + 1; }\n");
  write_old("b.cpp", "#include <cmath>\nint one() { return static_cast<int>(std::floor(1.5)); }\n");
  auto r = request({"a.cpp", "b.cpp"});
  r.link = {"-lm"};
  const auto made = build(r).value();
  EXPECT_EQ(std::count_if(steps.begin(), steps.end(),
                          [](const auto& s) { return s.starts_with("compiling"); }),
            2);
  EXPECT_TRUE(build(r).value().from_cache);
  EXPECT_NE(made.flags.find("-lm"), std::string::npos);
}

TEST_F(sources, that_do_not_compile_give_the_compilers_words) {
  write_old("m.cpp", "int f() { return undeclared_thing; }\n");
  auto made = build(request({"m.cpp"}));
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().kind, kind::invalid);
  EXPECT_EQ(made.error().code, "does_not_compile");
  EXPECT_NE(made.error().message.find("undeclared_thing"), std::string::npos);
  EXPECT_NE(made.error().message.find("m.cpp:1"), std::string::npos);
}

TEST_F(sources, that_do_not_link_give_the_linkers_words) {
  write_old("m.cpp", "int f() { return 1; }\n");
  auto r = request({"m.cpp"});
  r.link = {"-lberth_no_such_library"};
  auto made = build(r);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code, "does_not_link");
  EXPECT_NE(made.error().message.find("berth_no_such_library"), std::string::npos);
}

TEST_F(sources, warnings_are_passed_on) {
  write_old("m.cpp", "static int unused() { return 1; }\nint x;\n");
  EXPECT_NE(build(request({"m.cpp"})).value().warnings.find("unused"), std::string::npos);
}

TEST_F(sources, that_are_not_there_and_compilers_that_are_not_there_are_missing) {
  EXPECT_EQ(build(request({"nowhere.cpp"})).error().kind, kind::missing);
  write_old("m.cpp", "int x;\n");
  auto r = request({"m.cpp"});
  r.compiler = "no-such-compiler";
  EXPECT_EQ(build(r).error().kind, kind::missing);
  r.sources.clear();
  EXPECT_EQ(build(r).error().kind, kind::invalid);
}

TEST_F(sources, a_build_can_be_stopped) {
  write_old("m.cpp", "int x;\n");
  std::stop_source stop;
  auto r = request({"m.cpp"});
  r.stop = stop.get_token();
  stop.request_stop();
  auto made = build(r);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().kind, kind::cancelled);
}

TEST_F(sources, a_damaged_cache_is_rebuilt) {
  write_old("m.cpp", "int helper() { return 1; }\n");
  const auto first = build(request({"m.cpp"})).value();
  write_file(first.file, "rubbish");
  const auto again = build(request({"m.cpp"})).value();
  EXPECT_FALSE(again.from_cache);
  for (const auto& one :
       std::filesystem::recursive_directory_iterator(folder.path() / "cache/build/records"))
    if (one.is_regular_file()) write_file(one.path(), "berth-build 0\nrubbish\n");
  EXPECT_FALSE(build(request({"m.cpp"})).value().from_cache);
}

TEST_F(sources, intermediate_files_are_gone_after_good_and_bad_builds) {
  write_old("m.cpp", "int x;\n");
  (void)build(request({"m.cpp"})).value();
  write_old("m.cpp", "rubbish\n");
  EXPECT_FALSE(build(request({"m.cpp"})).has_value());
  EXPECT_TRUE(std::filesystem::is_empty(folder.path() / "cache/build/scratch"));
}

TEST(leading_headers, stop_where_a_macro_could_change_their_meaning) {
  EXPECT_EQ(leading_headers(one_function), std::vector<std::string>{"berth/module.hpp"});
  EXPECT_EQ(leading_headers("// text\n\n#include <vector>\n#include "
                            "<berth/failure.hpp>\r\n#include <berth/module.hpp> // x\nint x;"),
            (std::vector<std::string>{"berth/failure.hpp", "berth/module.hpp"}));
  EXPECT_TRUE(leading_headers("#define NDEBUG\n#include <berth/module.hpp>\n").empty());
  EXPECT_TRUE(leading_headers("#include <vector>\nint x;\n#include <berth/module.hpp>\n").empty());
  EXPECT_TRUE(leading_headers("").empty());
}

TEST(precompiled, is_made_once_for_both_compilers_and_used) {
  for (const auto& compiler : test::compilers()) {
    const test::temporary_folder folder;
    const auto file = folder.path() / "m.cpp";
    auto text = std::string(one_function);
    text.replace(text.find("VALUE"), 5, "1");
    write_file(file, text);
    auto r = test::request_for({file.string()}, compiler);
    r.cache = folder.path() / "cache";
    const auto first = build(r).value();
    EXPECT_GT(first.header_ms, 0) << compiler;
    EXPECT_EQ(first.warnings, "");
    text.replace(text.find("return 1"), 8, "return 2");
    write_file(file, text);
    const auto second = build(r).value();
    EXPECT_FALSE(second.from_cache);
    EXPECT_EQ(second.header_ms, 0) << compiler;
  }
}

TEST_F(sources, are_built_anew_when_a_precompiled_header_changed) {
  write_old("m.cpp", "#include <berth/two.hpp>\nint f() { return two(); }\n");
  std::filesystem::create_directory(folder.path() / "berth");
  for (const auto& compiler : test::compilers()) {
    write_old("berth/two.hpp", "#pragma once\ninline int two() { return 2; }\n");
    auto r = request({"m.cpp"});
    r.compiler = compiler;
    r.includes = {folder.path()};
    const auto first = build(r).value();
    EXPECT_GT(first.header_ms, 0) << compiler;
    EXPECT_TRUE(build(r).value().from_cache) << compiler;
    write_old("berth/two.hpp", "#pragma once\ninline int two() { return 3; }\n");
    const auto second = build(r).value();
    EXPECT_FALSE(second.from_cache) << compiler;
    EXPECT_GT(second.header_ms, 0) << compiler;
    EXPECT_NE(second.file, first.file) << compiler;
  }
}

}  // namespace
}  // namespace berth::module
