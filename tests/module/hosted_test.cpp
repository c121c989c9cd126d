#include "runtime/module/hosted.hpp"

#include "tests/module/fixture_modules.hpp"

#include <algorithm>
#include <berth/failure.hpp>
#include <gtest/gtest.h>
#include <sys/stat.h>

struct digit {
  int label;
  float confidence;
};

struct refused {
  int row;
  std::string why;
};

namespace berth::module {
namespace {

using test::packed;
using test::told;

/// A manifest of one export of the fixture, and the blobs that belong to it.
class fixture_version {
 public:
  explicit fixture_version(const std::string& symbol, const std::string& compiler = "g++") {
    what.module = shelf.put_file(test::build_fixture("exports.cpp", compiler));
    what.symbol = symbol;
    const auto loaded =
        loaded_module::load({"exports", what.module.digest, shelf.find(what.module.digest)})
            .value();
    const auto& entry = *loaded->find(symbol).value();
    what.is_class = (entry.flags & berth_flag_class) != 0;
    what.constructor.assign(entry.constructor.data ? entry.constructor.data : "",
                            entry.constructor.size);
    what.concurrency = entry.concurrency;
    for (std::uint32_t i = 0; i < entry.function_count; ++i) {
      const auto& f = entry.functions[i];
      what.functions.push_back({{f.name.data, f.name.size},
                                {f.signature.data, f.signature.size},
                                (f.flags & berth_flag_idempotent) != 0});
    }
  }

  template <class T>
  void bind(std::uint32_t parameter, const std::string& name, const T& value) {
    what.bound.push_back({parameter, name, shelf.put(codec::encode_inline(value))});
    if (what.is_class) return;
    auto full = decode_signature(what.functions[0].signature).value();
    // Indices are of the full signature: bind in falling order.
    full.params.erase(full.params.begin() + parameter);
    what.functions[0].signature = encode(full);
  }

  result<std::unique_ptr<hosted_version>> host() {
    return module::host(what, [this](const store::digest& d) { return shelf.find(d); });
  }

  manifest what;
  test::blob_shelf shelf;
};

class hosted : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<hosted_version> up(fixture_version& v) {
    auto made = v.host();
    if (!made) throw std::runtime_error(made.error().to_string());
    return std::move(*made);
  }

  std::unique_ptr<hosted_version> up(const std::string& symbol) {
    fixture_version v(symbol, GetParam());
    return up(v);
  }
};

INSTANTIATE_TEST_SUITE_P(built_by,
                         hosted,
                         testing::ValuesIn(test::compilers()),
                         [](const auto& one) {
                           return one.param.starts_with("clang") ? "clang" : "gcc";
                         });

TEST_P(hosted, a_function_is_called_with_a_block_and_answers_with_one) {
  const auto version = up("score");
  const auto* score = version->find("");
  ASSERT_NE(score, nullptr);
  EXPECT_TRUE(score->idempotent());
  EXPECT_EQ(version->concurrency(), 4u);
  packed call(6.0, 7.0);
  told answer;
  ASSERT_EQ(score->invoke(call.call(), answer.sink()), berth_done);
  EXPECT_EQ(answer.value<double>(), 42.0);
}

TEST_P(hosted, void_reserves_nothing) {
  const auto version = up("nothing");
  berth_view empty{};
  berth_call call{&empty, nullptr, 0, 0};
  told answer;
  EXPECT_EQ(version->find("")->invoke(call, answer.sink()), berth_done);
  EXPECT_FALSE(answer.error().has_value());
}

TEST_P(hosted, overloads_and_templates_are_told_apart) {
  packed text(std::string("x"));
  packed number(5);
  packed floats(std::vector<float>{1, 9, 3});
  told a, b, c;
  EXPECT_EQ(up("write_text")->find("")->invoke(text.call(), a.sink()), berth_done);
  EXPECT_EQ(up("write")->find("")->invoke(number.call(), b.sink()), berth_done);
  EXPECT_EQ(up("largest<float>")->find("")->invoke(floats.call(), c.sink()), berth_done);
  EXPECT_EQ(a.value<int>(), 1);
  EXPECT_EQ(b.value<int>(), 2);
  EXPECT_EQ(c.value<float>(), 9);
}

TEST_P(hosted, a_bound_argument_leaves_the_signature_and_is_decoded_once) {
  fixture_version v("classify", GetParam());
  v.bind(0, "w", std::vector<float>{0.5F});
  const auto version = up(v);
  EXPECT_EQ(to_string(version->find("")->shown()),
            "digit{int label; float confidence} (vector<float> pixels)");
  packed call(std::vector<float>{1, 2, 3});
  told answer;
  ASSERT_EQ(version->find("")->invoke(call.call(), answer.sink()), berth_done);
  EXPECT_EQ(answer.value<digit>().label, 3);
  EXPECT_EQ(answer.value<digit>().confidence, 0.5F);
}

TEST_P(hosted, a_call_that_changes_its_copy_of_a_bound_argument_does_not_change_the_next) {
  fixture_version v("consume", GetParam());
  v.bind(0, "w", std::vector<float>{1});
  const auto version = up(v);
  for (int i = 0; i < 3; ++i) {
    packed call(2.0F);
    told answer;
    ASSERT_EQ(version->find("")->invoke(call.call(), answer.sink()), berth_done);
    EXPECT_EQ(answer.value<float>(), 3.0F);
  }
}

TEST_P(hosted, all_arguments_can_be_bound) {
  fixture_version v("score", GetParam());
  v.bind(1, "b", 3.0);
  v.bind(0, "a", 2.0);
  const auto version = up(v);
  berth_view empty{};
  berth_call call{&empty, nullptr, 0, 0};
  told answer;
  ASSERT_EQ(version->find("")->invoke(call, answer.sink()), berth_done);
  EXPECT_EQ(answer.value<double>(), 6.0);
}

TEST_P(hosted, arguments_that_do_not_decode_are_refused) {
  const auto version = up("score");
  packed one(1.0);
  packed three(1.0, 2.0, 3.0);
  for (auto* call : {&one, &three}) {
    told answer;
    EXPECT_EQ(version->find("")->invoke(call->call(), answer.sink()), berth_failed);
    ASSERT_TRUE(answer.error().has_value());
    EXPECT_EQ(answer.error()->kind, kind::invalid);
  }
}

TEST_P(hosted, exceptions_become_errors_with_type_and_words) {
  const auto version = up("throws");
  const auto thrown = [&](int how) {
    packed call(how);
    told answer;
    EXPECT_EQ(version->find("")->invoke(call.call(), answer.sink()), berth_failed);
    return answer.error().value();
  };
  EXPECT_NE(thrown(0).message.find("std::out_of_range: no such row"), std::string::npos)
      << thrown(0).message;
  const auto failure = thrown(1);
  EXPECT_EQ(failure.kind, kind::failed);
  EXPECT_EQ(failure.message, "row 7 is empty");
  ASSERT_TRUE(failure.payload<refused>().has_value());
  EXPECT_EQ(failure.payload<refused>()->why, "empty");
  EXPECT_NE(thrown(2).message.find("int"), std::string::npos);
  EXPECT_EQ(thrown(3).kind, kind::overloaded);
  EXPECT_EQ(thrown(3).code, "busy");
}

TEST_P(hosted, a_large_result_travels_beside_its_block) {
  const auto version = up("ramp");
  packed call(std::uint32_t{100'000});
  told answer;
  ASSERT_EQ(version->find("")->invoke(call.call(), answer.sink()), berth_done);
  EXPECT_EQ(answer.externals(), 1u);
  EXPECT_EQ(answer.value<std::vector<float>>().back(), 99'999.0F);
}

TEST_P(hosted, a_large_argument_is_read_where_it_lies) {
  fixture_version v("classify", GetParam());
  v.bind(0, "w", std::vector<float>{});
  const auto version = up(v);
  packed call(std::vector<float>(50'000, 1.0F));
  told answer;
  ASSERT_EQ(version->find("")->invoke(call.call(), answer.sink()), berth_done);
  EXPECT_EQ(answer.value<digit>().label, 50'000);
}

TEST_P(hosted, a_stream_gives_item_after_item_and_owns_its_arguments) {
  const auto version = up("tell");
  const auto* tell = version->find("");
  ASSERT_TRUE(tell->streams());
  std::optional<packed> call(std::in_place, std::string("a prompt longer than any small buffer "),
                             2);
  told opened;
  void* generator = tell->open(call->call(), opened.sink());
  ASSERT_NE(generator, nullptr);
  for (int i = 0; i < 2; ++i) {
    told item;
    ASSERT_EQ(tell->next(generator, item.sink()), berth_done);
    EXPECT_EQ(item.value<std::string>(),
              "a prompt longer than any small buffer " + std::to_string(i));
  }
  told end;
  EXPECT_EQ(tell->next(generator, end.sink()), berth_ended);
  tell->close(generator);
}

TEST_P(hosted, a_stream_can_be_closed_before_its_end_and_can_fail) {
  const auto version = up("tell");
  const auto* tell = version->find("");
  packed call(std::string("x"), 3);
  told opened;
  tell->close(tell->open(call.call(), opened.sink()));
  void* generator = tell->open(call.call(), opened.sink());
  int items = 0;
  told last;
  int outcome = berth_done;
  while ((outcome = tell->next(generator, last.sink())) == berth_done)
    ++items;
  EXPECT_EQ(items, 3);
  EXPECT_EQ(outcome, berth_failed);
  EXPECT_NE(last.error()->message.find("three is refused"), std::string::npos);
  tell->close(generator);
}

TEST_P(hosted, a_stream_parameter_is_pulled_from_the_caller) {
  const auto version = up("total");
  ASSERT_EQ(version->find("")->source_count(), 1u);

  struct numbers {
    std::vector<std::uint64_t> block;
    int left = 3;
  } state;

  berth_source source{&state, [](void* self, berth_view* item, berth_failure* why) {
                        auto& from = *static_cast<numbers*>(self);
                        if (from.left < 0) {
                          static constexpr std::string_view gone = "the caller is gone";
                          why->kind = static_cast<std::uint8_t>(kind::cancelled);
                          why->message = {gone.data(), gone.size()};
                          return -1;
                        }
                        if (from.left-- == 0) return 0;
                        from.block.resize(1);
                        const double ten = 10;
                        std::memcpy(from.block.data(), &ten, 8);
                        *item = {from.block.data(), 8, nullptr, 0, 0};
                        return 1;
                      }};
  packed call(0.5);
  call.call().sources = &source;
  call.call().source_count = 1;
  told answer;
  ASSERT_EQ(version->find("")->invoke(call.call(), answer.sink()), berth_done)
      << answer.error()->to_string();
  EXPECT_EQ(answer.value<double>(), 15.0);
  told broken;
  EXPECT_EQ(version->find("")->invoke(call.call(), broken.sink()), berth_failed);
  EXPECT_EQ(broken.error()->kind, kind::cancelled);
}

TEST_P(hosted, a_class_is_constructed_once_from_bound_arguments) {
  fixture_version v("embedder", GetParam());
  v.bind(0, "w", std::vector<float>{2});
  v.bind(1, "name", std::string("a name that is kept as long as the object lives"));
  const auto version = up(v);
  EXPECT_EQ(version->concurrency(), 2u);
  ASSERT_EQ(version->functions().size(), 3u);
  EXPECT_EQ(version->find(""), nullptr);
  const auto* embed = version->find("embed");
  EXPECT_TRUE(embed->idempotent());
  EXPECT_FALSE(version->find("name")->idempotent());
  EXPECT_EQ(to_string(embed->shown()), "vector<float> embed(vector<string> texts)");
  packed texts(std::vector<std::string>{"ab", "cde"});
  told answer;
  ASSERT_EQ(embed->invoke(texts.call(), answer.sink()), berth_done);
  EXPECT_EQ(answer.value<std::vector<float>>(), (std::vector<float>{4, 6}));
  berth_view empty{};
  berth_call call{&empty, nullptr, 0, 0};
  for (const auto* expected : {"1", "2"}) {
    told name;
    ASSERT_EQ(version->find("name")->invoke(call, name.sink()), berth_done);
    EXPECT_EQ(name.value<std::string>(),
              std::string("a name that is kept as long as the object lives") + expected);
  }
  const auto* weights = version->find("weights");
  told item;
  void* generator = weights->open(call, item.sink());
  ASSERT_EQ(weights->next(generator, item.sink()), berth_done);
  EXPECT_EQ(item.value<float>(), 2);
  EXPECT_EQ(weights->next(generator, item.sink()), berth_ended);
  weights->close(generator);
}

TEST_P(hosted, a_constructor_that_throws_is_an_error_that_names_the_class) {
  fixture_version v("embedder", GetParam());
  v.bind(0, "w", std::vector<float>{});
  v.bind(1, "name", std::string("x"));
  auto made = v.host();
  ASSERT_FALSE(made.has_value());
  EXPECT_NE(made.error().message.find("std::invalid_argument: no weights"), std::string::npos);
  EXPECT_NE(made.error().to_string().find("while constructing embedder"), std::string::npos);
}

TEST_P(hosted, a_class_with_an_unbound_constructor_parameter_is_refused) {
  fixture_version v("embedder", GetParam());
  v.bind(0, "w", std::vector<float>{1});
  auto made = v.host();
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code, "unbound_constructor");
}

TEST(host, refuses_a_module_that_is_not_what_its_manifest_says) {
  fixture_version v("score");
  auto other = decode_signature(v.what.functions[0].signature).value();
  other.params[0].name = "c";
  v.what.functions[0].signature = encode(other);
  auto made = v.host();
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code, "other_signature");
}

TEST(host, says_which_blob_it_was_not_given) {
  fixture_version v("classify");
  v.bind(0, "w", std::vector<float>{1});
  v.what.bound[0].value.digest = store::digest_of("elsewhere");
  auto made = v.host();
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().kind, kind::missing);
  EXPECT_NE(made.error().message.find("bound argument w"), std::string::npos);
}

TEST(host, a_bound_argument_of_another_shape_does_not_decode) {
  fixture_version v("classify");
  v.bind(0, "w", std::string("not floats at all"));
  auto made = v.host();
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().kind, kind::invalid);
  EXPECT_NE(made.error().to_string().find("bound argument"), std::string::npos);
}

TEST(host, an_unwell_module_says_so_when_asked) {
  fixture_version v("score");
  auto made = v.host();
  ASSERT_TRUE(made.has_value());
  ::setenv("BERTH_TEST_UNWELL", "1", 1);
  auto health = (*made)->health();
  ::unsetenv("BERTH_TEST_UNWELL");
  ASSERT_FALSE(health.has_value());
  EXPECT_NE(health.error().message.find("no GPU"), std::string::npos);
}

TEST(host, files_are_placed_below_the_folder) {
  manifest m;
  test::blob_shelf shelf;
  m.files = {{"data/labels.txt", shelf.put("labels"), false},
             {"tool", shelf.put("#!/bin/sh\n"), true}};
  const test::temporary_folder folder;
  const auto lookup = [&](const store::digest& d) { return shelf.find(d); };
  ASSERT_TRUE(place_files(m, lookup, folder.path()).has_value());
  EXPECT_EQ(std::filesystem::file_size(folder.path() / "data/labels.txt"), 6u);

  struct stat s {};

  ASSERT_EQ(::stat((folder.path() / "tool").c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 0777, 0500u);
  m.files[0].path = "../escape";
  EXPECT_EQ(place_files(m, lookup, folder.path()).error().kind, kind::invalid);
}

}  // namespace
}  // namespace berth::module
