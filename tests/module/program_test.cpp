#include "runtime/module/command.hpp"
#include "runtime/module/image.hpp"
#include "runtime/module/takeover.hpp"
#include "tests/module/fixture_modules.hpp"

#include <berth/module.hpp>
#include <gtest/gtest.h>

namespace berth::module {
namespace {

int only_here(int x) {
  return x;
}

TEST(program, is_its_own_worker_and_tells_functions_of_one_name_apart) {
  const auto ran = run({{BERTH_TEST_PROGRAM}, {}, {}}, {}, std::chrono::seconds(60)).value();
  EXPECT_EQ(ran.output, "places 7\nworker 70\nworker 42\nworker 121\nmain\n");
  EXPECT_EQ(ran.exit_code, 0);
}

TEST(command, that_never_stops_writing_ends_with_its_time) {
  const auto ran = run({{find_program("yes")}, {}, {}}, {}, std::chrono::seconds(1));
  ASSERT_FALSE(ran.has_value());
  EXPECT_EQ(ran.error().kind, kind::timed_out);
}

TEST(program, of_another_build_is_missing_and_says_so) {
  const auto place = place_of(detail::sent_thunk<&only_here>()).value();
  EXPECT_EQ(sent_export(place.build_id, place.offset).value()->functions[0].parameter_count, 1u);
  auto moved = sent_export(place.build_id, place.offset + 1);
  ASSERT_FALSE(moved.has_value());
  EXPECT_EQ(moved.error().kind, kind::missing);
  auto other = sent_export("0123", place.offset);
  ASSERT_FALSE(other.has_value());
  EXPECT_NE(other.error().message.find("built anew"), std::string::npos);
}

TEST(program, a_place_outside_every_image_is_refused) {
  const int on_the_stack = 0;
  EXPECT_EQ(place_of(&on_the_stack).error().code, "no_image");
}

TEST(program, two_images_of_one_build_id_are_refused) {
  for (const auto* source : {"twin_image_a.cpp", "twin_image_b.cpp"}) {
    auto request = test::request_for({source});
    request.link = {"-Wl,--build-id=0x0123456789abcdef"};
    const auto file = build(request).value().file;
    ASSERT_TRUE(loaded_module::load_in_place(file).has_value());
  }
  auto sent = sent_export("0123456789abcdef", 0);
  ASSERT_FALSE(sent.has_value());
  EXPECT_EQ(sent.error().code, "twin_build_id");
}

}  // namespace
}  // namespace berth::module
