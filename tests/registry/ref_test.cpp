#include "registry/ref.hpp"

#include <array>
#include <gtest/gtest.h>
#include <random>

namespace {

using namespace berth::registry;

TEST(ref, a_bare_name_means_latest) {
  auto r = parse_ref("team/path/leaf");
  ASSERT_TRUE(r);
  EXPECT_EQ(r->name, "team/path/leaf");
  EXPECT_EQ(r->which, (std::variant<by_tag, by_number, by_digest>(by_tag{"latest"})));
  EXPECT_FALSE(r->pinned());
}

TEST(ref, every_form_reads_back_as_it_was_written) {
  const std::string digest(64, 'a');
  for (const std::string& text :
       {std::string("a/b@prod"), std::string("a@7"), std::string("lm/embed.embed@prod"),
        "a/b@sha256:" + digest, std::string("A-1/_b@v1.2-rc"), std::string("a.m@latest")}) {
    auto r = parse_ref(text);
    ASSERT_TRUE(r) << text << ": " << r.error().to_string();
    EXPECT_EQ(to_string(*r), text);
  }
}

TEST(ref, pins_by_number_and_by_digest) {
  EXPECT_TRUE(parse_ref("a@7")->pinned());
  EXPECT_EQ(std::get<by_number>(parse_ref("a@7")->which).number, 7u);
  EXPECT_TRUE(parse_ref("a@sha256:" + std::string(64, '0'))->pinned());
}

TEST(ref, says_what_is_wrong) {
  struct row {
    std::string text;
    std::string says;
  };

  for (const auto& [text, says] : std::vector<row>{
           {"", "empty"},
           {"a//b", "a segment is empty"},
           {"/a", "a segment is empty"},
           {"a/b/", "a segment is empty"},
           {"-a", "must start with"},
           {"a b", "' ' is not allowed"},
           {"a'; DROP TABLE name;--", "is not allowed"},
           {"a@", "nothing follows"},
           {"a@0", "no version number"},
           {"a@7x", "no version number"},
           {"a@99999999999", "no version number"},
           {"a@sha256:abc", "64 lower-case hex"},
           {"a@sha256:" + std::string(64, 'A'), "64 lower-case hex"},
           {"a@-x", "start with a letter"},
           {"a.@prod", "method"},
           {"a.1x", "no method name"},
           {"a@prod@qa", "allowed"},
           {std::string("a\0b", 3), "\\x00"},
           {std::string(256, 'a'), "longer than"},
           {std::string(65, 'a'), "segment is longer"},
           {"a/a/a/a/a/a/a/a/a", "more than 8"},
           {std::string(100000, 'a'), "too long"},
       }) {
    auto r = parse_ref(text);
    ASSERT_FALSE(r) << text;
    EXPECT_EQ(r.error().kind, berth::kind::invalid);
    EXPECT_NE(r.error().message.find(says), std::string::npos)
        << text.substr(0, 40) << " → " << r.error().message;
    EXPECT_LT(r.error().message.size(), 600u);
  }
}

TEST(ref, random_bytes_never_do_more_than_fail_or_read_back) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const std::string alphabet("ab/@.7_-:sha256\0\xff ", 19);
  for (int i = 0; i < 20000; ++i) {
    std::string text(random() % 24, ' ');
    for (auto& c : text)
      c = alphabet[random() % alphabet.size()];
    if (auto r = parse_ref(text)) {
      EXPECT_EQ(*parse_ref(to_string(*r)), *r) << text;
    }
  }
}

TEST(nearest, offers_the_name_one_slip_away) {
  const std::array<std::string_view, 4> names{"digits/classify", "digits/train", "lm/tell",
                                              "lm/embed"};
  EXPECT_EQ(nearest("digits/clasify", names), "digits/classify");
  EXPECT_EQ(nearest("digits/calssify", names), "digits/classify");
  EXPECT_EQ(nearest("dgits/train", names), "digits/train");
  EXPECT_EQ(nearest("Lm/tell", names), "lm/tell");
}

TEST(nearest, offers_a_name_with_the_same_leaf_when_the_team_was_wrong) {
  const std::array<std::string_view, 2> names{"vision/digits/classify", "lm/tell"};
  EXPECT_EQ(nearest("classify", names), "vision/digits/classify");
}

TEST(nearest, offers_nothing_when_nothing_is_near) {
  const std::array<std::string_view, 2> names{"digits/classify", "lm/tell"};
  EXPECT_EQ(nearest("completely/other/thing", names), "");
  EXPECT_EQ(nearest("x", {}), "");
}

}  // namespace
