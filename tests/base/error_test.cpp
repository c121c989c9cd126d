#include <berth/error.hpp>
#include <gtest/gtest.h>

namespace {

TEST(error, keeps_kind_code_message_and_trail_in_its_text) {
  auto why = berth::fail(berth::kind::missing, "no_such_name", "no name 'a/b'")
                 .at("while resolving a/b@prod");
  EXPECT_EQ(why.to_string(), "missing (no_such_name): no name 'a/b'\n  while resolving a/b@prod");
}

TEST(error, every_kind_has_a_name_that_reads_back_and_an_exit_code) {
  for (int k = 1; k <= 10; ++k) {
    auto one = static_cast<berth::kind>(k);
    EXPECT_EQ(berth::kind_from(berth::to_string(one)), one);
    EXPECT_GT(berth::exit_code(one), 0);
  }
  EXPECT_EQ(berth::exit_code(berth::kind::cancelled), 130);
  EXPECT_FALSE(berth::kind_from("nonsense"));
}

TEST(result, throws_what_it_holds_when_asked_for_a_value_it_has_not) {
  berth::result<int> bad = berth::fail(berth::kind::overloaded, "queue_full", "try later");
  try {
    (void)bad.value();
    FAIL() << "value() of an error must throw";
  } catch (const berth::error& e) {
    EXPECT_EQ(e.kind(), berth::kind::overloaded);
  }
}

}  // namespace
