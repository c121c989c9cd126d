#include "runtime/module/load.hpp"

#include "runtime/module/elf.hpp"
#include "tests/module/fixture_modules.hpp"

#include <cstring>
#include <elf.h>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <random>
#include <sys/mman.h>
#include <unistd.h>

namespace berth::module {
namespace {

using test::build_fixture;

std::string contents(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

result<std::unique_ptr<loaded_module>> load_bytes(const std::string& bytes) {
  const auto fd = sealed_copy(bytes_of(bytes), "a module").value();
  return loaded_module::load({"a module", store::digest_of(bytes), fd.get()});
}

const std::string& module_bytes() {
  static const std::string bytes = contents(build_fixture("exports.cpp"));
  return bytes;
}

class with_each_compiler : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(load,
                         with_each_compiler,
                         testing::ValuesIn(test::compilers()),
                         [](const auto& one) {
                           return one.param.starts_with("clang") ? "clang" : "gcc";
                         });

TEST_P(with_each_compiler, the_stamp_names_compiler_and_library) {
  const auto image = contents(build_fixture("exports.cpp", GetParam()));
  const auto summary = read_elf(bytes_of(image)).value();
  ASSERT_EQ(summary.stamps.size(), 1u);
  EXPECT_EQ(summary.stamps[0].abi, abi::version);
  EXPECT_EQ(summary.stamps[0].pointer_bytes, sizeof(void*));
  EXPECT_EQ(std::string(summary.stamps[0].compiler).substr(0, 5),
            GetParam() == "g++" ? "gcc 1" : "clang");
  EXPECT_STREQ(summary.stamps[0].library, abi::own_stamp().library);
  EXPECT_EQ(summary.build_id.size(), 40u);
  EXPECT_FALSE(summary.program);
  EXPECT_TRUE(check_stamps(summary, "it").has_value());
}

TEST_P(with_each_compiler, a_module_loads_and_names_its_exports) {
  auto loaded = load_bytes(contents(build_fixture("exports.cpp", GetParam())));
  ASSERT_TRUE(loaded.has_value()) << loaded.error().to_string();
  const auto* score = (*loaded)->find("score").value();
  EXPECT_EQ(score->concurrency, 4u);
  const auto shown =
      decode_signature({score->functions[0].signature.data, score->functions[0].signature.size})
          .value();
  EXPECT_EQ(to_string(shown), "double (double a, double b)");
  EXPECT_TRUE((*loaded)->find("largest<float>").has_value());
  EXPECT_TRUE((*loaded)->find("write_text").has_value());
  auto absent = (*loaded)->find("scores");
  ASSERT_FALSE(absent.has_value());
  EXPECT_EQ(absent.error().kind, kind::missing);
  EXPECT_NE(absent.error().message.find("classify"), std::string::npos) << absent.error().message;
  EXPECT_TRUE((*loaded)->health().has_value());
}

TEST(load, health_says_what_the_hook_threw) {
  auto loaded = load_bytes(module_bytes());
  ::setenv("BERTH_TEST_UNWELL", "1", 1);
  auto health = (*loaded)->health();
  ::unsetenv("BERTH_TEST_UNWELL");
  ASSERT_FALSE(health.has_value());
  EXPECT_NE(health.error().message.find("no GPU"), std::string::npos);
  EXPECT_NE(health.error().message.find("std::runtime_error"), std::string::npos);
}

TEST(load, another_digest_is_refused_before_anything_runs) {
  const auto fd = sealed_copy(bytes_of(module_bytes()), "it").value();
  auto loaded = loaded_module::load({"it", store::digest_of("other"), fd.get()});
  ASSERT_FALSE(loaded.has_value());
  EXPECT_EQ(loaded.error().code, "wrong_digest");
}

TEST(load, files_that_are_no_module_are_refused_by_what_is_wrong) {
  EXPECT_EQ(load_bytes("#!/bin/sh\n").error().code, "not_elf");
  EXPECT_EQ(load_bytes("").error().code, "not_elf");
  EXPECT_EQ(load_bytes(contents("/proc/self/exe")).error().code, "is_program");
  auto foreign = module_bytes();
  const Elf64_Half machine = EM_AARCH64;
  std::memcpy(foreign.data() + offsetof(Elf64_Ehdr, e_machine), &machine, sizeof machine);
  auto loaded = load_bytes(foreign);
#if defined(__x86_64__)
  EXPECT_EQ(loaded.error().code, "wrong_machine");
  EXPECT_NE(loaded.error().message.find("aarch64"), std::string::npos);
  EXPECT_NE(loaded.error().message.find("x86-64"), std::string::npos);
#endif
  auto narrow = module_bytes();
  narrow[EI_CLASS] = ELFCLASS32;
  EXPECT_EQ(load_bytes(narrow).error().code, "wrong_elf");
}

TEST(load, a_truncated_module_is_refused_at_every_length) {
  const auto& whole = module_bytes();
  const auto dynamic_end = whole.size() * 9 / 10;
  for (std::size_t size = 0; size < dynamic_end; size += 1 + size / 7) {
    auto summary = read_elf(bytes_of(whole).first(size));
    ASSERT_FALSE(summary.has_value()) << size;
    EXPECT_EQ(summary.error().kind, kind::invalid);
  }
  EXPECT_EQ(load_bytes(whole.substr(0, whole.size() / 2)).error().code, "truncated");
}

TEST(load, the_reader_survives_damaged_headers) {
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  for (int i = 0; i < 20000; ++i) {
    auto image = module_bytes().substr(0, 64 * 1024);
    for (auto n = 1 + random() % 8; n > 0; --n)
      image[random() % 2048] = static_cast<char>(random());
    (void)read_elf(bytes_of(image));
  }
  SUCCEED() << "seed " << seed;
}

TEST(load, a_module_without_exports_is_told_how_to_have_some) {
  auto loaded = load_bytes(contents(build_fixture("no_exports.cpp")));
  ASSERT_FALSE(loaded.has_value());
  EXPECT_EQ(loaded.error().code, "no_exports");
  EXPECT_NE(loaded.error().message.find("BERTH_EXPORT"), std::string::npos);
}

TEST(load, another_abi_is_refused_with_both_numbers) {
  auto image = module_bytes();
  const auto at = image.find(std::string("berth\0\0\0\0\0\0\0\x08\0\0\0gcc ", 20));
  ASSERT_NE(at, std::string::npos);
  image[at + 8] = 77;
  auto loaded = load_bytes(image);
  ASSERT_FALSE(loaded.has_value());
  EXPECT_EQ(loaded.error().code, "other_abi");
  EXPECT_NE(loaded.error().message.find("77"), std::string::npos);
}

TEST(load, another_string_layout_is_refused) {
  auto image = module_bytes();
  const auto at = image.find("libstdc++ cxx11");
  ASSERT_NE(at, std::string::npos);
  image.replace(at, 15, std::string("libstdc++ old\0\0", 15));
  EXPECT_EQ(load_bytes(image).error().code, "other_library");
}

TEST(load, a_static_constructor_that_throws_is_an_error_with_its_words) {
  auto loaded = load_bytes(contents(build_fixture("throwing_static.cpp")));
  ASSERT_FALSE(loaded.has_value());
  EXPECT_NE(loaded.error().message.find("no licence file"), std::string::npos)
      << loaded.error().to_string();
}

TEST(load, two_exports_of_one_name_are_refused_with_the_way_out) {
  auto loaded = load_bytes(contents(build_fixture("twin_names.cpp")));
  ASSERT_FALSE(loaded.has_value());
  EXPECT_EQ(loaded.error().code, "bad_exports");
  EXPECT_NE(loaded.error().message.find("two exports are called read"), std::string::npos);
  EXPECT_NE(loaded.error().message.find(".as("), std::string::npos);
}

TEST(load, a_sealed_copy_cannot_be_changed) {
  const auto fd = sealed_copy(bytes_of("code"), "x").value();
  EXPECT_EQ(::pwrite(fd.get(), "x", 1, 0), -1);
  EXPECT_EQ(::ftruncate(fd.get(), 1), -1);
  EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, 0), -1);
  // A second one of the same shares it instead of copying.
  const auto again = sealed_copy(fd.get(), "x").value();
  EXPECT_EQ(store::digest_of_file(again.get()).value(), store::digest_of("code"));
}

TEST(load, what_the_user_changes_after_the_check_does_not_run) {
  const test::temporary_folder folder;
  const auto file = folder.path() / "m.so";
  test::write_file(file, module_bytes());
  const base::unique_fd fd(::open(file.c_str(), O_RDWR | O_CLOEXEC));
  const auto copy = sealed_copy(fd.get(), "m").value();
  ASSERT_EQ(::ftruncate(fd.get(), 0), 0);
  EXPECT_TRUE(loaded_module::load({"m", store::digest_of(module_bytes()), copy.get()}).has_value());
}

}  // namespace
}  // namespace berth::module
