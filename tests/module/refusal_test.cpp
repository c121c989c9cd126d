// What cannot be exported is refused by the compiler, in words that name the type.
#include "tests/module/fixture_modules.hpp"

#include <gtest/gtest.h>

namespace berth::module {
namespace {

struct refused_source {
  const char* what;
  const char* code;
  std::vector<const char*> words;  // all in what the compiler says
};

const std::vector<refused_source>& refused_sources() {
  static const std::vector<refused_source> all{
      {"a_non_const_reference",
       "int f(std::string& s) { return 1; }\nBERTH_EXPORT(&f);\n",
       {"cannot take a non-const reference", "string"}},
      {"a_mutable_span",
       "int f(std::span<float> s) { return 1; }\nBERTH_EXPORT(&f);\n",
       {"cannot take a mutable span", "span<float"}},
      {"a_pointer",
       "int f(const int* s) { return 1; }\nBERTH_EXPORT(&f);\n",
       {"cannot take a pointer", "const int"}},
      {"a_result_that_is_a_view",
       "std::string_view f() { return \"\"; }\nBERTH_EXPORT(&f);\n",
       {"cannot return a view", "string_view"}},
      {"a_result_that_is_a_span",
       "std::span<const float> f() { return {}; }\nBERTH_EXPORT(&f);\n",
       {"cannot return a view", "span<const float"}},
      {"a_reference_as_result",
       "int x;\nint& f() { return x; }\nBERTH_EXPORT(&f);\n",
       {"cannot return a reference", "exported_result<int"}},
      {"a_stream_of_views",
       "berth::stream<std::string_view> f() { co_yield \"\"; }\nBERTH_EXPORT(&f);\n",
       {"cannot return a view", "string_view"}},
      {"a_type_berth_does_not_know",
       "class locked { public: explicit locked(int); private: int x_; };\n"
       "int f(locked l) { return 1; }\nBERTH_EXPORT(&f);\n",
       {"cannot carry this type", "locked"}},
      {"too_few_names",
       "int f(int a, int b) { return a; }\nBERTH_EXPORT(&f).params(\"a\");\n",
       {"names every parameter"}},
      {"a_reserved_method",
       "struct c { int with(int x) { return x; } };\nBERTH_CLASS(c(), with);\n",
       {"`with` is a verb of berth's own handles"}},
  };
  return all;
}

class refused_by : public testing::TestWithParam<std::tuple<std::string, std::size_t>> {};

INSTANTIATE_TEST_SUITE_P(compiler,
                         refused_by,
                         testing::Combine(testing::ValuesIn(test::compilers()),
                                          testing::Range(std::size_t{0}, refused_sources().size())),
                         [](const auto& one) {
                           return std::string(std::get<0>(one.param).starts_with("clang") ? "clang_"
                                                                                          : "gcc_")
                                  + refused_sources()[std::get<1>(one.param)].what;
                         });

TEST_P(refused_by, in_words_that_name_it) {
  const auto& source = refused_sources()[std::get<1>(GetParam())];
  const test::temporary_folder folder;
  const auto file = folder.path() / "m.cpp";
  test::write_file(file, "#include <berth/module.hpp>\n" + std::string(source.code));
  auto request = test::request_for({file.string()}, std::get<0>(GetParam()));
  request.flags = {"-O0"};
  auto made = build(request);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code, "does_not_compile") << made.error().to_string();
  for (const auto* word : source.words)
    EXPECT_NE(made.error().message.find(word), std::string::npos) << word << " in\n"
                                                                  << made.error().message;
}

}  // namespace
}  // namespace berth::module
