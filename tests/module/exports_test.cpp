#include "runtime/module/exports.hpp"

#include <berth/module.hpp>
#include <gtest/gtest.h>
#include <string_view>

namespace lm {

class embedder {
 public:
  explicit embedder(int size) : size_(size) {}

  int size() const noexcept { return size_; }

  std::string echo(std::string text) { return text; }

 private:
  int size_;
};

BERTH_CLASS(embedder(int), size, echo).params("size").method("echo").params("text").idempotent();

int twice(int x) {
  return 2 * x;
}

BERTH_EXPORT(&twice).as("double").concurrency(3);

}  // namespace lm

namespace berth::module {
namespace {

template <auto Method>
struct member {
  static constexpr auto method = Method;
  std::string_view called;
};

struct member_maker {
  template <auto Method>
  member<Method> operator()(const char* name) const {
    return {name};
  }
};

TEST(exports, a_class_leads_to_a_typed_handle_with_a_member_a_method) {
  using service = decltype(berth_service_of(static_cast<lm::embedder*>(nullptr)));
  const auto handle = service::made<member>(member_maker{});
  EXPECT_EQ(handle.size.called, "size");
  EXPECT_EQ(handle.echo.called, "echo");
  EXPECT_TRUE(handle.echo.method == &lm::embedder::echo);
  static_assert(std::is_same_v<service::class_type, lm::embedder>);
}

TEST(exports, of_this_image_are_a_table_made_once) {
  const auto* table = berth_module_v0();
  EXPECT_EQ(table, berth_module_v0());
  EXPECT_EQ(table->abi, abi::version);
  EXPECT_EQ(table->problem.size, 0u);
  ASSERT_EQ(table->export_count, 2u);
  const auto& one = table->exports[0];
  EXPECT_EQ(std::string_view(one.symbol.data, one.symbol.size), "embedder");
  ASSERT_EQ(one.function_count, 2u);
  EXPECT_EQ(one.functions[0].flags & berth_flag_idempotent, 0u);
  EXPECT_NE(one.functions[1].flags & berth_flag_idempotent, 0u);
  const auto echo =
      decode_signature({one.functions[1].signature.data, one.functions[1].signature.size}).value();
  EXPECT_EQ(to_string(echo), "string echo(string text)");
  EXPECT_EQ(table->exports[1].concurrency, 3u);
  EXPECT_EQ(announced_images().size(), 1u);
}

TEST(symbol_of, is_the_last_name_of_what_stands_in_the_macro) {
  using detail::symbol_of;
  static_assert(symbol_of("&classify") == "classify");
  static_assert(symbol_of("& ns::inner::f") == "f");
  static_assert(symbol_of("&f<std::vector<int>>") == "f<std::vector<int>>");
  static_assert(symbol_of("&ns::f<a::b>") == "f<a::b>");
  static_assert(symbol_of("static_cast<int (*)(const a::b&)>(&ns::write)") == "write");
  static_assert(symbol_of("static_cast<int (*)(int)>( &write )") == "write");
  SUCCEED();
}

TEST(reserved_method, is_every_verb_of_a_handle) {
  for (const auto* verb : {"with", "within", "try_", "async", "map", "publish", "tag"})
    EXPECT_TRUE(detail::reserved_method(verb)) << verb;
  EXPECT_FALSE(detail::reserved_method("embed"));
}

}  // namespace
}  // namespace berth::module
