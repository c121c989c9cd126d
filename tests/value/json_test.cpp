#include "runtime/value/message.hpp"
#include "runtime/value/text.hpp"

#include <berth/value.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

namespace {

using berth::parse_json;
using berth::print_json;
using berth::value;
using testing::HasSubstr;

std::string trouble(std::string_view text) {
  const auto parsed = parse_json(text);
  return parsed ? "nothing" : parsed.error().message;
}

TEST(json, reads_every_kind_and_prints_it_back) {
  const std::string text =
      R"({"n": null, "b": [true, false], "i": -5, "d": 2.5, "s": "x\u00fc\ud834\udd1e", "o": {}})";
  const value v = parse_json(text).value();
  EXPECT_EQ(*v.find("i"), value(-5));
  EXPECT_EQ(*v.find("d"), value(2.5));
  EXPECT_EQ(*v.find("s"), value("xü𝄞"));
  EXPECT_EQ(v.find("nowhere"), nullptr);
  EXPECT_EQ(parse_json(print_json(v)).value(), v);
  EXPECT_EQ(parse_json(print_json(v, {.indent = 2})).value(), v);
  EXPECT_EQ(print_json(parse_json(" [ 1 , [] , {} ] ").value(), {.indent = 2}),
            "[\n  1,\n  [],\n  {}\n]");
}

TEST(json, keeps_the_last_bit_of_every_double) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 2000; ++i) {
    const std::uint64_t bits = random();
    double d = 0;
    std::memcpy(&d, &bits, 8);
    const value back = parse_json(print_json(d)).value();
    if (std::isfinite(d)) {
      ASSERT_EQ(back, value(d)) << print_json(d);
    }
  }
  EXPECT_EQ(print_json(parse_json("-0").value()), "-0.0");
  EXPECT_EQ(parse_json("1e999").value(), value(std::numeric_limits<double>::infinity()));
  EXPECT_EQ(parse_json("1e-999").value(), value(0.0));
}

TEST(json, says_where_a_text_is_wrong) {
  EXPECT_THAT(trouble("{\n  \"a\": }"), HasSubstr("line 2, column 8"));
  EXPECT_THAT(trouble("[1, 2"), HasSubstr("this is no JSON"));
  EXPECT_THAT(trouble(""), HasSubstr("this is no JSON"));
  EXPECT_THAT(trouble("1 2"), HasSubstr("something follows the document (line 1, column 3)"));
  EXPECT_THAT(trouble(R"({"a": 1, "a": 2})"), HasSubstr("\"a\" is given twice"));
  EXPECT_THAT(trouble("\"\xff\""), HasSubstr("this is no JSON"));
  EXPECT_THAT(trouble("[NaN]"), HasSubstr("this is no JSON"));
}

TEST(json, bounds_nesting_and_number_of_values) {
  EXPECT_EQ(trouble(std::string(64, '[') + std::string(64, ']')), "nothing");
  EXPECT_NE(trouble(std::string(65, '[') + std::string(65, ']')), "nothing");
  EXPECT_NE(trouble(std::string(1000000, '[')), "nothing");
  std::string many = "[0";
  for (std::size_t i = 1; i < berth::value_nodes_max; ++i)
    many += ",0";
  EXPECT_THAT(trouble(many + "]"), HasSubstr("holds more than"));
}

TEST(json, a_word_of_the_shell_is_json_or_itself) {
  EXPECT_EQ(berth::parse_word("3"), value(3));
  EXPECT_EQ(berth::parse_word("hello world"), value("hello world"));
  EXPECT_EQ(berth::parse_word("\"3\""), value("3"));
  EXPECT_EQ(berth::parse_word(R"({"a": 1})"), value(value::object{{"a", 1}}));
}

TEST(json, base64_and_utf_8_follow_their_standards) {
  using berth::detail::from_base64;
  using berth::detail::is_utf8;
  for (std::size_t n = 0; n < 20; ++n) {
    berth::bytes raw(n, static_cast<std::byte>(0xA5 + n));
    EXPECT_EQ(from_base64(berth::detail::to_base64(raw)), raw);
  }
  for (const char* bad : {"A", "AA", "AAA", "A===", "AA=A", "AA==AAAA", "A*AA", "===="})
    EXPECT_FALSE(from_base64(bad)) << bad;
  EXPECT_TRUE(is_utf8("aü€𝄞"));
  for (const char* bad :
       {"\x80", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF5", "\xE2\x82"})
    EXPECT_FALSE(is_utf8(bad));
}

TEST(message, brings_values_back_as_they_were) {
  const value v(value::object{{"null", {}},
                              {"int", std::numeric_limits<std::int64_t>::min()},
                              {"uint", std::numeric_limits<std::uint64_t>::max()},
                              {"nan", std::nan("")},
                              {"text", std::string("a\0b", 3)},
                              {"bytes", berth::bytes{std::byte{1}}},
                              {"list", value::list{1, true, value::list{}}},
                              {"tensor", berth::any_tensor(berth::dtype::u16, {2, 3})}});
  EXPECT_EQ(berth::value_from_message(berth::value_to_message(v).value()).value(), v);
}

TEST(message, refuses_what_is_too_deep) {
  value v;
  for (int i = 0; i < 70; ++i)
    v = value::list{std::move(v)};
  EXPECT_FALSE(berth::value_to_message(v));
}

TEST(message, truncated_and_flipped_messages_are_errors_or_values) {
  const value v = parse_json(R"({"a": [1, 2.5, {"b": "text"}], "c": null})").value();
  const auto message = berth::value_to_message(v).value();
  for (std::size_t n = 0; n < message.size(); ++n)
    EXPECT_FALSE(berth::value_from_message(std::span(message).first(n)));
  for (std::size_t bit = 0; bit < message.size() * 8; ++bit) {
    auto damaged = message;
    damaged[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    (void)berth::value_from_message(damaged);
  }
}

TEST(message, a_list_without_content_cannot_claim_millions_of_values) {
  // One segment: root struct whose list pointer names 2^29-1 structs of no words.
  const std::uint64_t segment_words = 5;
  berth::bytes raw(8 + segment_words * 8);
  const auto put = [&](std::size_t at, std::uint64_t word) {
    std::memcpy(raw.data() + at, &word, 8);
  };
  put(0, segment_words << 32);                                  // one segment
  put(8, (std::uint64_t{1} << 48) | (std::uint64_t{2} << 32));  // root: 2 data words, 1 pointer
  put(16, 7);                                                   // union tag: list
  put(32, 1 | (std::uint64_t{7} << 32));                        // composite list, 0 words
  put(40, (std::uint64_t{0x1FFFFFFF} << 2));                    // its tag: 2^29-1 structs of size 0
  const auto read = berth::value_from_message(raw);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, "bad_message");
}

}  // namespace
