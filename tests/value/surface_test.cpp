// What users see of values: a test for each line of the table in docs/protocol.md, "Values and JSON".
#include "runtime/client/verbs.hpp"
#include "runtime/value/message.hpp"
#include "tests/value/everything.hpp"

#include <berth/failure.hpp>
#include <berth/value.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using berth::value;
using testing::HasSubstr;

/// JSON of a C++ value.
template <class T>
std::string json_of(const T& x) {
  return berth::print_json(berth::to_value(x));
}

/// The C++ value that JSON says.
template <class T>
T from_json(std::string_view text) {
  return berth::from_value<T>(berth::parse_json(text).value()).value();
}

/// What is wrong with JSON for a type.
template <class T>
std::string trouble(std::string_view text) {
  const auto read = berth::from_value<T>(berth::parse_json(text).value());
  return read ? "nothing" : read.error().message;
}

template <class T>
void expect_both_ways(const T& x, std::string_view json) {
  EXPECT_EQ(json_of(x), json);
  EXPECT_EQ(from_json<T>(json), x);
}

TEST(surface, integers_are_numbers_and_beyond_2_to_the_53_texts_too) {
  expect_both_ways(std::uint8_t{200}, "200");
  expect_both_ways(std::int64_t{-5}, "-5");
  expect_both_ways(std::int64_t{1} << 53, "9007199254740992");
  expect_both_ways((std::int64_t{1} << 53) + 1, "\"9007199254740993\"");
  expect_both_ways(std::numeric_limits<std::int64_t>::min(), "\"-9223372036854775808\"");
  expect_both_ways(std::numeric_limits<std::uint64_t>::max(), "\"18446744073709551615\"");
  EXPECT_EQ(from_json<std::int64_t>("9007199254740993"), 9007199254740993);
  EXPECT_EQ(from_json<std::uint64_t>("18446744073709551615"), 18446744073709551615ULL);
  EXPECT_EQ(from_json<int>("1e3"), 1000);
  EXPECT_EQ(trouble<std::int8_t>("128"), "integer 128 does not fit int8");
  EXPECT_EQ(trouble<unsigned>("-1"), "integer -1 does not fit uint32");
  EXPECT_EQ(trouble<int>("1.5"), "number 1.5 does not fit int");
  EXPECT_EQ(trouble<int>("\"7\""), "expected int, got text \"7\"");
  EXPECT_EQ(trouble<std::int64_t>("9223372036854775808"),
            "integer 9223372036854775808 does not fit int64");
  EXPECT_EQ(trouble<std::int64_t>("9.3e18"), "number 9.3e+18 does not fit int64");
}

TEST(surface, floats_are_numbers_and_the_three_words) {
  expect_both_ways(0.1F, "0.1");
  expect_both_ways(1e300, "1e+300");
  expect_both_ways(-0.0, "-0.0");
  expect_both_ways(std::numeric_limits<double>::infinity(), "\"Infinity\"");
  expect_both_ways(-std::numeric_limits<float>::infinity(), "\"-Infinity\"");
  EXPECT_EQ(json_of(std::nan("")), "\"NaN\"");
  EXPECT_TRUE(std::isnan(from_json<float>("\"NaN\"")));
  EXPECT_EQ(from_json<double>("3"), 3.0);
  EXPECT_EQ(trouble<float>("1e300"), "number 1e+300 does not fit float");
  EXPECT_EQ(trouble<double>("\"3\""), "expected double, got text \"3\"");
  expect_both_ways(1.0L / 3, "\"" + berth::to_value(1.0L / 3).get<std::string>()->substr() + "\"");
}

TEST(surface, bools_and_characters) {
  expect_both_ways(true, "true");
  EXPECT_EQ(trouble<bool>("1"), "expected bool, got integer 1");
  expect_both_ways('x', "\"x\"");
  expect_both_ways('\0', "0");
  EXPECT_EQ(from_json<char>("200"), static_cast<char>(200));
  EXPECT_EQ(trouble<char>("\"xy\""), "expected one character, got text \"xy\"");
}

TEST(surface, text_is_text_and_what_is_no_utf_8_is_base64) {
  expect_both_ways(std::string("ü\n\"\\\x01"), R"("ü\n\"\\\u0001")");
  expect_both_ways(std::string("\xff\xfe"), R"({"base64": "//4="})");
}

TEST(surface, bytes_are_base64) {
  expect_both_ways(berth::bytes{std::byte{1}, std::byte{2}, std::byte{250}, std::byte{0}},
                   R"({"base64": "AQL6AA=="})");
  expect_both_ways(berth::bytes{}, R"({"base64": ""})");
  EXPECT_THAT(trouble<berth::bytes>("\"text\""), HasSubstr("base64"));
  EXPECT_THAT(trouble<berth::bytes>(R"({"base64": "A==="})"), HasSubstr("no base64"));
  EXPECT_EQ(berth::from_value<berth::bytes>(value(berth::bytes{std::byte{7}})).value(),
            berth::bytes{std::byte{7}});
}

enum loose { first_loose = -1, second_loose = 90 };

TEST(surface, enums_are_their_name_or_number) {
  using everything::color;
  expect_both_ways(color::green, "\"green\"");
  expect_both_ways(static_cast<color>(99), "99");
  EXPECT_EQ(from_json<color>("7"), color::green);
  EXPECT_EQ(trouble<color>("\"pink\""), "\"pink\" is no color; it is one of red, green, blue");
  expect_both_ways(everything::small, "\"small\"");
  expect_both_ways(everything::large, "\"large\"");
  expect_both_ways(second_loose, "\"second_loose\"");
}

TEST(surface, optionals_are_their_value_or_null) {
  expect_both_ways(std::optional<int>(3), "3");
  expect_both_ways(std::optional<int>(), "null");
  expect_both_ways(std::optional<std::optional<int>>(), "null");
  expect_both_ways(std::optional<std::optional<int>>(std::in_place), "[null]");
  expect_both_ways(std::optional<std::optional<int>>(5), "[5]");
}

TEST(surface, variants_name_their_type) {
  using choice = std::variant<int, std::string, everything::digit, std::monostate>;
  expect_both_ways(choice(3), R"({"int": 3})");
  expect_both_ways(choice("x"), R"({"string": "x"})");
  expect_both_ways(choice(everything::digit{1, 0.5F}),
                   R"({"digit": {"label": 1, "confidence": 0.5}})");
  expect_both_ways(choice(std::monostate{}), R"({"void": null})");
  EXPECT_EQ(
      trouble<choice>(R"({"flaot": 3})"),
      "expected {\"type\": value} with one of the types int, string, digit, void, got \"flaot\"");
  using twins = std::variant<std::vector<int>, std::deque<int>>;
  expect_both_ways(twins(std::in_place_index<1>, {4}), R"({"vector<int>#1": [4]})");
}

TEST(surface, tuples_pairs_lists_and_arrays_are_arrays) {
  expect_both_ways(std::tuple(1, std::string("a"), true), R"([1, "a", true])");
  expect_both_ways(std::pair(1, 2), "[1, 2]");
  expect_both_ways(std::vector<std::vector<int>>{{1}, {}}, "[[1], []]");
  expect_both_ways(std::vector<bool>{true, false}, "[true, false]");
  expect_both_ways(std::set<int>{3, 1}, "[1, 3]");
  expect_both_ways(std::array<int, 2>{1, 2}, "[1, 2]");
  EXPECT_EQ((trouble<std::array<int, 2>>("[1]")), "expected 2 elements, got 1");
  EXPECT_EQ(trouble<std::vector<int>>("[1, 2, \"x\"]"), "[2]: expected int, got text \"x\"");
  EXPECT_EQ(trouble<std::set<int>>("[1, 1]"),
            "the block does not follow its signature's layout: a map or set holds a key twice");
}

TEST(surface, maps_with_text_keys_are_objects_others_pairs) {
  expect_both_ways(std::map<std::string, int>{{"a", 1}, {"b", 2}}, R"({"a": 1, "b": 2})");
  expect_both_ways(std::unordered_map<std::string, int>{{"a", 1}}, R"({"a": 1})");
  expect_both_ways(std::map<int, std::string>{{1, "x"}, {2, "y"}}, R"([[1, "x"], [2, "y"]])");
  EXPECT_EQ((from_json<std::map<std::string, int>>(R"([["a", 1]])")),
            (std::map<std::string, int>{{"a", 1}}));
  EXPECT_EQ((trouble<std::map<int, int>>("[[1]]")), "[0]: expected [key, value], got list");
}

TEST(surface, durations_have_units) {
  using namespace std::chrono_literals;
  expect_both_ways(std::chrono::milliseconds(250), "\"250ms\"");
  expect_both_ways(std::chrono::nanoseconds(-1), "\"-1ns\"");
  expect_both_ways(std::chrono::hours(3), "\"3h\"");
  expect_both_ways(std::chrono::days(2), "\"2d\"");
  expect_both_ways(std::chrono::duration<double>(1.5), "\"1.5s\"");
  expect_both_ways(std::chrono::duration<int, std::ratio<1, 3>>(4), "\"4[1/3]s\"");
  EXPECT_EQ(from_json<std::chrono::milliseconds>("\"1.5s\""), 1500ms);
  EXPECT_EQ(from_json<std::chrono::seconds>("\"1h30min\""), 90min);
  EXPECT_EQ(from_json<std::chrono::microseconds>("\"7µs\""), 7us);
  EXPECT_EQ(trouble<std::chrono::seconds>("\"250ms\""), "not a whole number of s");
  EXPECT_THAT(trouble<std::chrono::seconds>("250"),
              HasSubstr("expected a duration like \"250ms\""));
  EXPECT_THAT(trouble<std::chrono::seconds>("\"250\""), HasSubstr("expected a unit"));
  EXPECT_THAT(trouble<std::chrono::seconds>("\"5 parsec\""), HasSubstr("expected a unit"));
  EXPECT_THAT(trouble<std::chrono::nanoseconds>("\"999999999999d\""), HasSubstr("too long"));
}

TEST(surface, points_in_time_are_rfc_3339) {
  using namespace std::chrono;
  using at_ms = time_point<system_clock, milliseconds>;
  expect_both_ways(at_ms(milliseconds(1764000000123)), "\"2025-11-24T16:00:00.123Z\"");
  expect_both_ways(time_point<system_clock, seconds>(seconds(-1)), "\"1969-12-31T23:59:59Z\"");
  EXPECT_EQ(from_json<at_ms>("\"2025-11-24T18:00:00.123+02:00\""),
            at_ms(milliseconds(1764000000123)));
  EXPECT_EQ(from_json<at_ms>("\"2025-11-24t16:00:00z\""), at_ms(milliseconds(1764000000000)));
  EXPECT_EQ((from_json<time_point<system_clock, duration<double>>>("\"1970-01-01T00:00:01.5Z\""))
                .time_since_epoch(),
            duration<double>(1.5));
  expect_both_ways(time_point<system_clock, seconds>(seconds::max()), "\"@9223372036854775807s\"");
  for (const char* bad :
       {"\"2025-13-01T00:00:00Z\"", "\"2025-02-30T00:00:00Z\"", "\"2025-11-24\"",
        "\"2025-11-24T16:00:00\"", "\"2025-11-24T16:00:00Zx\"", "\"2025-11-24T24:00:00Z\""})
    EXPECT_THAT(trouble<at_ms>(bad), HasSubstr("RFC 3339")) << bad;
  EXPECT_EQ(trouble<at_ms>("\"2025-11-24T16:00:00.1234Z\""), "not a whole number of ms");
}

struct inner_fields {
  int a = 1;
  int b = 2;
  friend bool operator==(const inner_fields&, const inner_fields&) = default;
};

struct fields {
  std::string name;
  std::optional<int> note;
  inner_fields inner{.b = 9};
  std::vector<std::string> tags{"default", "tags"};
  double scale = 1.5;
  friend bool operator==(const fields&, const fields&) = default;
};

fields named(std::string name) {
  fields f;
  f.name = std::move(name);
  return f;
}

TEST(surface, aggregates_are_objects_in_any_order) {
  EXPECT_EQ(
      json_of(named("x")),
      R"({"name": "x", "note": null, "inner": {"a": 1, "b": 9}, "tags": ["default", "tags"], "scale": 1.5})");
  EXPECT_EQ(from_json<inner_fields>(R"({"b": 5, "a": 4})"), (inner_fields{4, 5}));
}

TEST(surface, a_missing_trailing_member_takes_what_the_type_gives) {
  EXPECT_EQ(from_json<fields>("{}"), fields{});
  EXPECT_EQ(from_json<fields>(R"({"name": "x"})"), named("x"));
  fields x = named("x");
  x.inner = {7, 2};  // b as inner_fields gives it, not as fields does
  EXPECT_EQ(from_json<fields>(R"({"name": "x", "note": null, "inner": {"a": 7}})"), x);
}

TEST(surface, elsewhere_only_an_optional_may_be_missing) {
  fields x = named("x");
  x.inner = {1, 2};
  x.tags = {};
  x.scale = 2;
  EXPECT_EQ(from_json<fields>(R"({"name": "x", "inner": {}, "tags": [], "scale": 2})"), x);
  EXPECT_EQ(trouble<fields>(R"({"scale": 2})"),
            "name: missing: only trailing members and optionals may be left out");
}

TEST(surface, unknown_fields_are_errors_with_the_path) {
  EXPECT_EQ(trouble<std::vector<fields>>(R"([{}, {"inner": {"c": 1}, "name": ""}])"),
            "[1].inner.c: unknown field; there are a, b");
  EXPECT_EQ(trouble<fields>(R"({"name": "", "inner": {}, "tags": ["a", 5]})"),
            "tags[1]: expected string, got integer 5");
  const value doubled(value::object{{"a", 1}, {"a", 2}});
  EXPECT_EQ(berth::from_value<inner_fields>(doubled).error().message, "a: given twice");
}

TEST(surface, tensors_have_dtype_shape_and_data) {
  const berth::tensor<float> t(
      {2, 2}, std::vector<float>{1, 2.5F, 3, std::numeric_limits<float>::infinity()});
  expect_both_ways(t, R"({"dtype": "f32", "shape": [2, 2], "data": [1.0, 2.5, 3.0, "Infinity"]})");
  EXPECT_EQ((from_json<berth::tensor<int>>(
                R"({"dtype": "i32", "shape": [2, 2], "data": [[1, 2], [3, 4]]})")),
            (berth::tensor<int>({2, 2}, std::vector<int>{1, 2, 3, 4})));
  expect_both_ways(berth::tensor<bool>({1}, std::array{true}),
                   R"({"dtype": "bool", "shape": [1], "data": [true]})");
  expect_both_ways(berth::tensor<double>(), R"({"dtype": "f64", "shape": [0], "data": []})");
  expect_both_ways(berth::tensor<double>(berth::extents{}),
                   R"({"dtype": "f64", "shape": [], "data": [0.0]})");
  EXPECT_EQ(trouble<berth::tensor<float>>(R"({"dtype": "f64", "shape": [1], "data": [1]})"),
            "dtype: expected \"f32\", got text \"f64\"");
  EXPECT_EQ(trouble<berth::tensor<float>>(R"({"dtype": "f32", "shape": [3], "data": [1]})"),
            "data: the shape asks for another number of elements than the 1 given");
  EXPECT_EQ(trouble<berth::tensor<float>>(R"({"dtype": "f32", "shape": [1], "data": ["x"]})"),
            "data[0]: expected float, got text \"x\"");
  EXPECT_EQ(
      berth::print_json(berth::to_value(berth::tensor<int>({1000})), {.tensor_elements_max = 16}),
      R"({"dtype": "i32", "shape": [1000], "data": [0, 0, 0, 0, 0, 0, "… 1000 elements"]})");
}

TEST(surface, foreign_types_travel_as_what_they_convert_to) {
  expect_both_ways(everything::point(1, 2), "[1.0, 2.0]");
}

struct refused {
  int row = 0;
  std::string why;
};

TEST(surface, a_failure_brings_its_payload_to_the_caller) {
  try {
    throw berth::failure{refused{7, "empty"}};
  } catch (const berth::failure_base& sent) {
    EXPECT_STREQ(sent.what(), R"(refused {"row": 7, "why": "empty"})");
    const berth::error received(sent.info());
    EXPECT_EQ(received.kind(), berth::kind::failed);
    ASSERT_TRUE(received.detail<refused>());
    EXPECT_EQ(received.detail<refused>()->row, 7);
    EXPECT_EQ(received.detail<refused>()->why, "empty");
    EXPECT_FALSE(received.detail<int>());
  }
  EXPECT_STREQ(berth::failure(3, "three").what(), "three");
  EXPECT_FALSE(berth::error(berth::fail(berth::kind::failed, "x", "y")).detail<int>());
}

int add(int a, std::optional<int> b, fields rest) {
  return a + b.value_or(0) + static_cast<int>(rest.scale);
}

TEST(surface, arguments_come_by_position_or_by_name) {
  const std::string_view names[] = {"a", "b", "rest"};
  const auto sig = berth::signature_of<&add>(names);
  const auto arguments = [&](std::string_view json) {
    const auto hot = berth::encode_hot(sig, berth::parse_json(json).value());
    return hot ? berth::print_json(berth::decode_hot(sig, hot->view()).value())
               : hot.error().message;
  };
  const std::string rest = ", " + json_of(fields{}) + "]";
  EXPECT_EQ(arguments("[1, 2]"), "[1, 2" + rest);
  EXPECT_EQ(arguments(R"({"a": 1})"), "[1, null" + rest);
  EXPECT_EQ(arguments(R"({"rest": {}, "a": 1})"), "[1, null" + rest);
  EXPECT_EQ(arguments("null"), "[0, null" + rest);
  EXPECT_EQ(arguments(R"({"b": 1})"),
            "a: missing: only trailing parameters and optionals may be left out");
  EXPECT_EQ(arguments(R"({"a": 1, "rest": {"name": 5}})"),
            "rest.name: expected string, got integer 5");
  EXPECT_THAT(arguments(R"({"c": 1})"),
              HasSubstr("c: no such parameter of int (int a, optional<int> b, fields{"));
  EXPECT_THAT(arguments("[1, 2, {}, 4]"), HasSubstr("4 arguments for 3 parameters"));
}

TEST(surface, hot_and_self_describing_forms_say_the_same_for_random_values) {
  const auto seed = everything::seed();
  SCOPED_TRACE("BERTH_SEED=" + std::to_string(seed));
  everything::maker make(seed);
  for (int i = 0; i < 100; ++i) {
    const auto x = make.make();
    const value v = berth::to_value(x);
    ASSERT_EQ(berth::from_value<everything::all>(v).value(), x);
    const auto message = berth::value_to_message(v).value();
    ASSERT_EQ(
        berth::from_value<everything::all>(berth::value_from_message(message).value()).value(), x);
    const auto text = berth::print_json(v, {.indent = 2});
    ASSERT_EQ(berth::from_value<everything::all>(berth::parse_json(text).value()).value(), x)
        << text;
    // The dynamic encoder makes the very bytes that the typed one does.
    ASSERT_EQ(berth::encode_hot(berth::shape_of<everything::all>(), v, {.inline_all = true})
                  ->block.size(),
              berth::codec::encode_inline(x).size());
  }
}

TEST(surface, large_data_stands_beside_the_block_whichever_encoder_made_it) {
  const std::vector<float> large(20000, 0.5F);
  const auto hot =
      berth::encode_hot(berth::shape_of<std::vector<float>>(), berth::to_value(large)).value();
  EXPECT_EQ(hot.block.size(), 24U);
  ASSERT_EQ(hot.externals.size(), 1U);
  EXPECT_EQ(berth::codec::read<std::vector<float>>(hot.view()).value(), large);
  const std::string text(70000, 'x');
  EXPECT_EQ(berth::from_value<std::string>(berth::to_value(text)).value(), text);
  const berth::tensor<double> tensor({100, 100});
  const value v = berth::to_value(tensor);
  EXPECT_EQ(v.tensor()->raw().data(), tensor.any().raw().data());
  EXPECT_EQ(berth::from_value<berth::tensor<double>>(v)->data().data(), tensor.data().data());
}

TEST(surface, the_verbs_of_the_control_plane_travel_as_values) {
  namespace verbs = berth::client::verbs;
  verbs::publish p;
  p.name = "a/b";
  p.why = "because";
  const auto back = berth::from_value<verbs::publish>(berth::to_value(p)).value();
  EXPECT_EQ(back.name, "a/b");
  EXPECT_EQ(back.why, "because");
  EXPECT_EQ(back.replicas, 1U);
  EXPECT_EQ(from_json<verbs::resolve>(R"({"ref": "a/b@prod"})").wait_ms, 10000U);

  verbs::served version;
  version.version = 3;
  version.replicas.emplace_back().target = "worker:1";
  verbs::route r;
  r.versions.push_back(version);
  EXPECT_EQ(
      berth::from_value<verbs::route>(berth::to_value(r))->versions.at(0).replicas.at(0).target,
      "worker:1");

  verbs::flip one;
  one.split = {{1, 10000}};
  one.expect_revision = 7;
  verbs::tag t;
  t.flips = {one};
  EXPECT_EQ(berth::from_value<verbs::tag>(berth::to_value(t))->flips.at(0).expect_revision, 7U);

  verbs::upload u;
  u.bytes = {std::byte{1}};
  EXPECT_THAT(json_of(u), HasSubstr(R"("bytes": {"base64": "AQ=="})"));
  EXPECT_EQ(json_of(verbs::status{}), "{}");
}

template <class Verb>
void expect_round_trip() {
  const Verb verb;
  const value v = berth::to_value(verb);
  EXPECT_EQ(berth::to_value(berth::from_value<Verb>(v).value()), v) << berth::print_json(v);
  EXPECT_EQ(berth::to_value(from_json<Verb>("{}")), v) << berth::print_json(v);
}

TEST(surface, every_verb_and_reply_has_a_default_that_reads_back) {
  namespace verbs = berth::client::verbs;
  expect_round_trip<verbs::resolve>();
  expect_round_trip<verbs::route>();
  expect_round_trip<verbs::blobs_missing>();
  expect_round_trip<verbs::upload>();
  expect_round_trip<verbs::publish>();
  expect_round_trip<verbs::published>();
  expect_round_trip<verbs::tag>();
  expect_round_trip<verbs::rollback>();
  expect_round_trip<verbs::flipped>();
  expect_round_trip<verbs::yank>();
  expect_round_trip<verbs::history>();
  expect_round_trip<verbs::changes>();
  expect_round_trip<verbs::at>();
  expect_round_trip<verbs::watch>();
  expect_round_trip<verbs::names>();
  expect_round_trip<verbs::described>();
  expect_round_trip<verbs::cluster_status>();
  expect_round_trip<verbs::processes>();
  expect_round_trip<verbs::counters>();
  expect_round_trip<verbs::logs>();
  expect_round_trip<verbs::log_rows>();
  expect_round_trip<verbs::done>();
}

}  // namespace
