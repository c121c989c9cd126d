#include "tests/support/temp_folder.hpp"
#include "tools/berth/arguments.hpp"
#include "tools/berth/split_text.hpp"
#include "tools/berth/table.hpp"

#include <gtest/gtest.h>
#include <sstream>

namespace {

using namespace berth;
using namespace berth::tools;

TEST(split_text, reads_what_people_write) {
  auto split = parse_split("@7:95,@8:5");
  ASSERT_TRUE(split) << split.error().to_string();
  ASSERT_EQ(split->size(), 2U);
  EXPECT_EQ((*split)[0].version, 7U);
  EXPECT_EQ((*split)[0].weight, 9500U);
  EXPECT_EQ((*split)[1].weight, 500U);
  EXPECT_EQ(split_text(*split), "@7 95 %, @8 5 %");
  auto alone = parse_split("8");
  ASSERT_TRUE(alone);
  EXPECT_EQ((*alone)[0].weight, 10000U);
  auto fine = parse_split("1:99.75,2:0.25");
  ASSERT_TRUE(fine);
  EXPECT_EQ((*fine)[1].weight, 25U);
}

TEST(split_text, says_what_is_wrong_with_a_split) {
  for (const char* bad : {"", "@", "@0", "@x", "@1:", "@1:101", "@1:50", "@1:50,@2",
                          "@1:50.123,@2:49.877", "@1:-1,@2:101", "@4294967297"}) {
    auto split = parse_split(bad);
    ASSERT_FALSE(split) << bad;
    EXPECT_EQ(split.error().kind, kind::invalid) << bad;
  }
  EXPECT_NE(parse_split("@1:50,@2:40").error().message.find("90 %"), std::string::npos);
}

TEST(table, shows_control_characters_instead_of_obeying_them) {
  EXPECT_EQ(printable("a\x1b[2Jb\nc"), "a\\x1b[2Jb\\nc");
  table rows({"NAME", "N"});
  rows.add({"größe", "1"});
  rows.add({"x", "22"});
  std::ostringstream out;
  rows.print(out, "none");
  EXPECT_EQ(out.str(), "NAME   N\ngröße  1\nx      22\n");
  std::ostringstream empty;
  table({"A"}).print(empty, "none");
  EXPECT_EQ(empty.str(), "none\n");
}

TEST(arguments, stand_by_position_or_by_name_but_not_both) {
  auto by_position = arguments_of({"1", "text", "[1, 2]"});
  ASSERT_TRUE(by_position);
  EXPECT_EQ(print_json(*by_position), "[1, \"text\", [1, 2]]");
  auto by_name = arguments_of({"who=Ada", "n=3"});
  ASSERT_TRUE(by_name);
  EXPECT_EQ(print_json(*by_name), "{\"who\": \"Ada\", \"n\": 3}");
  EXPECT_FALSE(arguments_of({"1", "n=3"}));
}

TEST(arguments, an_array_stays_one_argument_on_its_way_through_the_parser) {
  char program[] = "berth", verb[] = "call", ref[] = "t/twice", array[] = "[1,2]";
  char* argv[] = {program, verb, ref, array};
  auto words = words_for_parser(4, argv);
  ASSERT_EQ(words.size(), 3U);  // last first, without the program
  EXPECT_EQ(words[1], "t/twice");
  EXPECT_NE(words[0].front(), '[');
  auto back = arguments_of({words[0]});
  ASSERT_TRUE(back);
  EXPECT_EQ(print_json(*back), "[[1, 2]]");
}

TEST(arguments, come_from_files_as_json_or_as_bytes) {
  tests::temp_folder folder;
  const auto json = folder.write("a.json", "{\"x\": [1, 2]}").string();
  const auto raw = folder.write("raw", std::string("\x01\x02\xff", 3)).string();
  auto both = arguments_of({"@" + json, "@" + raw});
  ASSERT_TRUE(both) << both.error().to_string();
  EXPECT_EQ(print_json(*both), "[{\"x\": [1, 2]}, {\"base64\": \"AQL/\"}]");
  auto missing = arguments_of({"@" + folder.path().string() + "/nothing"});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, kind::missing);
}

TEST(durations, have_a_unit) {
  EXPECT_EQ(duration_of("250ms").value(), std::chrono::milliseconds(250));
  EXPECT_EQ(duration_of("1.5s").value(), std::chrono::milliseconds(1500));
  for (const char* bad : {"", "5", "ms", "-1s", "1d", "nans", "1e300h"})
    EXPECT_FALSE(duration_of(bad)) << bad;
}

}  // namespace
