#include <berth/describe.hpp>
#include <berth/value.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <vector>

namespace {

using berth::answers;
using berth::fit;
using berth::signature_of;
using testing::HasSubstr;

// Versions of the same types, as they would be called the same in two modules.
namespace v1 {
struct options {
  int depth = 4;
  std::string name;
};

struct digit {
  int label = 0;
};
}  // namespace v1

namespace v2 {
struct options {
  int depth = 4;
  std::string name;
  double scale = 1.5;
  std::vector<std::string> tags{"a", "b"};
};

struct digit {
  int label = 0;
  float confidence = 0;
};
}  // namespace v2

namespace v3 {
struct options {
  int depth = 4;
  bool fast = false;  // not at the end, not optional
  std::string name;
};

struct hinted {
  int depth = 4;
  std::optional<int> hint;
  std::string name;
};
}  // namespace v3

template <class Caller, class Version>
std::string refusal() {
  const auto answer = answers(signature_of<Caller>(), signature_of<Version>());
  return answer ? "accepted" : answer.error().message;
}

TEST(evolution, equal_signatures_pass_blocks_as_they_are) {
  EXPECT_EQ(
      answers(signature_of<int(std::string)>(), signature_of<int(std::string_view)>()).value(),
      fit::same);
}

TEST(evolution, new_trailing_members_and_optional_parameters_are_accepted) {
  EXPECT_EQ((answers(signature_of<int(v1::options)>(), signature_of<int(v2::options)>()).value()),
            fit::evolved);
  EXPECT_EQ((answers(signature_of<int(std::vector<v1::options>)>(),
                     signature_of<int(std::vector<v2::options>)>())
                 .value()),
            fit::evolved);
  EXPECT_EQ(
      (answers(signature_of<int(int)>(), signature_of<int(int, std::optional<int>)>()).value()),
      fit::evolved);
  EXPECT_EQ((answers(signature_of<int(v1::options)>(), signature_of<int(v3::hinted)>()).value()),
            fit::evolved);
}

TEST(evolution, a_new_required_parameter_or_inner_member_is_refused_by_name) {
  EXPECT_THAT((refusal<int(int), int(int, int)>()),
              HasSubstr("parameter arg1: the caller does not give it"));
  EXPECT_THAT((refusal<int(v1::options), int(v3::options)>()),
              HasSubstr("arg0.fast: a new field must stand at the end or be optional"));
}

TEST(evolution, what_the_version_lost_or_changed_is_refused_with_both_signatures) {
  const std::string why = refusal<int(v2::options), int(v1::options)>();
  EXPECT_THAT(why, HasSubstr("arg0.scale: the version has no such field"));
  EXPECT_THAT(why, HasSubstr("the caller has  int (options{int depth; string name; double scale; "
                             "vector<string> tags} arg0)"));
  EXPECT_THAT(why, HasSubstr("the version has int (options{int depth; string name} arg0)"));
  EXPECT_THAT((refusal<int(int, int), int(int)>()),
              HasSubstr("parameter 2 (arg1): the version takes no such parameter"));
  EXPECT_THAT((refusal<int(int), int(double)>()),
              HasSubstr("arg0: the caller has int, the version double"));
  EXPECT_THAT((refusal<int(std::vector<int>), int(std::vector<long>)>()), HasSubstr("arg0[]"));
}

TEST(evolution, results_may_gain_members_but_not_lose_them) {
  EXPECT_EQ((answers(signature_of<v1::digit()>(), signature_of<v2::digit()>()).value()),
            fit::evolved);
  EXPECT_THAT((refusal<v2::digit(), v1::digit()>()),
              HasSubstr("result.confidence: the version has no such field"));
  EXPECT_THAT((refusal<int(), std::string()>()),
              HasSubstr("result: the caller has int, the version string"));
  EXPECT_THAT((refusal<int(), berth::stream<int>()>()), HasSubstr("one is a stream"));
}

TEST(evolution, methods_are_not_mixed_up) {
  EXPECT_FALSE(answers(signature_of<int()>({}, "a"), signature_of<int()>({}, "b")));
}

TEST(evolution, an_older_callers_arguments_reach_the_newer_version) {
  using caller = berth::codec::pack<v1::options, int>;
  std::vector<berth::external> externals;
  const v1::options given{7, "x"};
  berth::bytes block(caller::measure(given, 3).bytes);
  caller::write(block.data(), externals, given, 3);

  const auto carried =
      berth::transcode_arguments(signature_of<int(v1::options, int)>(),
                                 signature_of<int(v2::options, int, std::optional<int>)>(),
                                 {block, externals})
          .value();
  berth::codec::pack<v2::options, int, std::optional<int>>::decoded in;
  ASSERT_EQ(in.read(carried.view()), berth::codec::flaw::none);
  const auto& [options, number, extra] = in.values();
  EXPECT_EQ(options.depth, 7);
  EXPECT_EQ(options.name, "x");
  EXPECT_EQ(options.scale, 1.5);
  EXPECT_EQ(options.tags, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(number, 3);
  EXPECT_FALSE(extra);
}

TEST(evolution, a_newer_result_reaches_the_older_caller) {
  std::vector<berth::external> externals;
  const auto block = berth::codec::encode(externals, std::vector<v2::digit>{{7, 0.5F}});
  const auto carried =
      berth::transcode_result(berth::shape_of<std::vector<v2::digit>>(),
                              berth::shape_of<std::vector<v1::digit>>(), {block, externals})
          .value();
  EXPECT_EQ(berth::codec::read<std::vector<v1::digit>>(carried.view())->at(0).label, 7);
}

}  // namespace
