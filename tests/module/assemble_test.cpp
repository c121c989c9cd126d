#include "runtime/module/assemble.hpp"

#include "runtime/module/hosted.hpp"
#include "runtime/module/image.hpp"
#include "runtime/module/saved_value.hpp"
#include "tests/module/fixture_modules.hpp"

#include <berth/value.hpp>
#include <gtest/gtest.h>

namespace berth::module {
namespace {

using test::write_file;

const description& exports() {
  static const description made =
      describe(test::build_fixture("exports.cpp"), BERTH_TEST_DESCRIBER).value();
  return made;
}

class wishes : public testing::Test {
 protected:
  wishes() {
    wish.module = test::build_fixture("exports.cpp");
    wish.exports = exports();
    wish.folder = folder.path();
  }

  error_info refused() {
    auto made = assemble(wish);
    return made ? fail(kind::failed, "accepted", made->text) : made.error();
  }

  test::temporary_folder folder;
  version_wish wish;
};

TEST_F(wishes, describe_tells_what_a_module_exports) {
  EXPECT_EQ(exports().compiler.substr(0, 3), "gcc");
  const auto* embedder = exports().find("embedder").value();
  EXPECT_TRUE(embedder->is_class);
  EXPECT_EQ(embedder->concurrency, 2u);
  EXPECT_EQ(to_string(embedder->constructor), "void (vector<float> w, string name)");
  EXPECT_EQ(exports().find("").error().code, "which_export");
  EXPECT_EQ(exports().find("nothere").error().kind, kind::missing);
}

TEST_F(wishes, a_module_that_crashes_while_it_is_described_is_an_error_with_its_last_words) {
  auto crashed = describe(test::build_fixture("crashing_static.cpp"), BERTH_TEST_DESCRIBER);
  ASSERT_FALSE(crashed.has_value());
  EXPECT_EQ(crashed.error().code, "module_crashed");
  EXPECT_NE(crashed.error().message.find("last words"), std::string::npos)
      << crashed.error().message;
  auto thrown = describe(test::build_fixture("throwing_static.cpp"), BERTH_TEST_DESCRIBER);
  ASSERT_FALSE(thrown.has_value());
  EXPECT_NE(thrown.error().message.find("no licence file"), std::string::npos)
      << thrown.error().message;
  EXPECT_EQ(describe(test::build_fixture("no_exports.cpp"), BERTH_TEST_DESCRIBER).error().code,
            "no_exports");
}

TEST_F(wishes, an_assembled_version_can_be_hosted) {
  wish.symbol = "classify";
  write_file(folder.path() / "w.json", "[0.25, 1]");
  wish.with = {"w=@w.json"};
  write_file(folder.path() / "labels.txt", "zero\n");
  wish.files = {"labels.txt=data/labels.txt"};
  wish.environment = {"OMP_NUM_THREADS=1"};
  const auto made = assemble(wish).value();
  EXPECT_EQ(parse(made.text).value().bound[0].name, "w");
  EXPECT_EQ(identity(made.text), made.identity);
  ASSERT_EQ(made.blobs.size(), made.manifest.blobs().size());
  test::blob_shelf shelf;
  for (const auto& one : made.blobs)
    EXPECT_EQ(one.file.empty() ? shelf.put(one.bytes) : shelf.put_file(one.file), one.content);
  auto version = host(made.manifest, [&](const store::digest& d) { return shelf.find(d); });
  ASSERT_TRUE(version.has_value()) << version.error().to_string();
  EXPECT_EQ((*version)->find("")->shown().params.size(), 1u);
}

TEST_F(wishes, the_same_wish_is_the_same_version_and_another_argument_another) {
  wish.symbol = "score";
  wish.with = {"a=2"};
  const auto first = assemble(wish).value().identity;
  EXPECT_EQ(assemble(wish).value().identity, first);
  wish.with = {"a=2.0"};
  EXPECT_EQ(assemble(wish).value().identity, first);
  wish.with = {"a=3"};
  EXPECT_NE(assemble(wish).value().identity, first);
}

TEST_F(wishes, system_libraries_are_named_and_not_carried) {
  wish.symbol = "score";
  const auto m = assemble(wish).value().manifest;
  EXPECT_TRUE(m.libraries.empty());
  EXPECT_TRUE(std::any_of(m.system.begin(), m.system.end(), [](const auto& one) {
    return one.name == "libc.so.6" && !one.build_id.empty();
  }));
}

TEST_F(wishes, a_system_library_that_changed_since_is_told_where_it_runs) {
  wish.symbol = "score";
  auto system = assemble(wish).value().manifest.system;
  EXPECT_TRUE(changed_libraries(system).empty());
  const auto libc = std::find_if(system.begin(), system.end(),
                                 [](const auto& one) { return one.name == "libc.so.6"; });
  ASSERT_NE(libc, system.end());
  libc->build_id = std::string(40, 'a');
  const auto changed = changed_libraries(system);
  ASSERT_EQ(changed.size(), 1U);
  EXPECT_NE(changed.front().find("libc.so.6"), std::string::npos);
}

TEST_F(wishes, what_contradicts_the_module_is_refused_by_name) {
  wish.symbol = "classify";
  wish.with = {"weights=@w.json"};
  EXPECT_EQ(refused().code, "no_such_parameter");
  wish.with = {"w=@nowhere.json"};
  EXPECT_EQ(refused().kind, kind::missing);
  write_file(folder.path() / "w.json", "[1, \"two\"]");
  wish.with = {"w=@w.json"};
  EXPECT_EQ(refused().kind, kind::invalid);
  EXPECT_NE(refused().message.find("[1]"), std::string::npos) << refused().to_string();
  wish.with = {"w"};
  EXPECT_EQ(refused().code, "bad_option");
  wish.with = {};
  wish.environment = {"API_TOKEN=x"};
  EXPECT_EQ(refused().code, "secret_variable");
  wish.environment = {};
  wish.files = {"/etc/hostname=../hostname"};
  EXPECT_EQ(refused().code, "bad_path");
  wish.files = {};
  wish.symbol = "embedder";
  wish.with = {"name=x"};
  EXPECT_EQ(refused().code, "unbound_constructor");
  EXPECT_NE(refused().message.find("--with for w"), std::string::npos) << refused().message;
  wish.symbol = "total";
  wish.with = {"arg0=[1]"};
  EXPECT_EQ(refused().code, "bad_binding");
}

TEST_F(wishes, bytes_take_a_file_as_it_is_and_saved_values_keep_their_shape) {
  write_file(folder.path() / "raw.bin", std::string("\x00\x01{", 3));
  const auto raw = bound_block(shape_of<bytes>(), "@raw.bin", folder.path()).value();
  EXPECT_EQ(raw, codec::encode_inline(bytes{std::byte{0}, std::byte{1}, std::byte{'{'}}));

  const std::vector<float> weights{1, 2};
  const auto block = codec::encode_inline(weights);
  const auto saved = print_saved(shape_of<std::vector<float>>(), std::as_bytes(std::span(block)));
  write_file(folder.path() / "w.value", saved);
  EXPECT_EQ(bound_block(shape_of<std::vector<float>>(), "@w.value", folder.path()).value(), block);
  auto other = bound_block(shape_of<std::vector<double>>(), "@w.value", folder.path());
  ASSERT_FALSE(other.has_value());
  EXPECT_NE(other.error().message.find("vector<float>"), std::string::npos);
  EXPECT_NE(other.error().message.find("vector<double>"), std::string::npos);
  for (std::size_t size = 14; size < saved.size(); ++size) {
    write_file(folder.path() / "cut", saved.substr(0, size));
    EXPECT_FALSE(bound_block(shape_of<std::vector<float>>(), "@cut", folder.path()).has_value())
        << size;
  }
}

TEST(closure, carries_the_users_own_libraries_and_loads_them) {
  const test::temporary_folder folder;
  write_file(folder.path() / "own.cpp",
             "__attribute__((visibility(\"default\"))) int own_answer() { return 42; }\n");
  auto library = test::request_for({(folder.path() / "own.cpp").string()});
  library.link = {"-Wl,-soname,libown.so.1"};
  std::filesystem::copy(build(library).value().file, folder.path() / "libown.so.1");
  write_file(folder.path() / "m.cpp",
             "#include <berth/module.hpp>\nint own_answer();\nint ask() { return own_answer(); "
             "}\nBERTH_EXPORT(&ask);\n");
  auto module = test::request_for({(folder.path() / "m.cpp").string()});
  module.link = {(folder.path() / "libown.so.1").string(), "-Wl,-rpath," + folder.path().string()};
  version_wish wish;
  wish.module = build(module).value().file;
  wish.exports = describe(wish.module, BERTH_TEST_DESCRIBER).value();
  const auto made = assemble(wish).value();
  ASSERT_EQ(made.manifest.libraries.size(), 1u);
  EXPECT_EQ(made.manifest.libraries[0].name, "libown.so.1");
  test::blob_shelf shelf;
  for (const auto& one : made.blobs)
    (void)shelf.put_file(one.file);
  // The library's file is gone where the version runs: only its blob is left.
  std::filesystem::remove(folder.path() / "libown.so.1");
  auto version = host(made.manifest, [&](const store::digest& d) { return shelf.find(d); });
  ASSERT_TRUE(version.has_value()) << version.error().to_string();
  berth_view empty{};
  berth_call call{&empty, nullptr, 0, 0};
  test::told answer;
  ASSERT_EQ((*version)->find("ask"), nullptr);
  ASSERT_EQ((*version)->find("")->invoke(call, answer.sink()), berth_done);
  EXPECT_EQ(answer.value<int>(), 42);
  auto lost = find_closure(wish.module, library_folders::of_this_machine());
  ASSERT_FALSE(lost.has_value());
  EXPECT_EQ(lost.error().kind, kind::missing);
  EXPECT_NE(lost.error().message.find("libown.so.1"), std::string::npos);
}

}  // namespace
}  // namespace berth::module
