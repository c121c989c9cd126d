#include "runtime/module/manifest.hpp"

#include "runtime/module/secrets.hpp"

#include <gtest/gtest.h>
#include <random>
#include <set>

namespace berth::module {
namespace {

blob content(std::string_view text) {
  return {store::digest_of(text), text.size()};
}

manifest full() {
  manifest m;
  m.module = content("module");
  m.build_id = "00ff12";
  m.symbol = "classify<a, \"b\">";
  m.functions = {{m.symbol, std::string("\x01\x00\xff", 3), true}};
  m.concurrency = 4;
  m.bound = {{2, "bias", content("bias")}, {0, "w", content("weights")}};
  m.libraries = {{"libz_own.so.1", content("z")}, {"liba.so", content("a")}};
  m.system = {{"libstdc++.so.6", "abcd"}, {"libc.so.6", ""}};
  m.files = {{"data/labels.txt", content("labels"), false}, {"bin/tool", content("tool"), true}};
  m.environment = {{"OMP_NUM_THREADS", "4"}, {"MOTTO", "a \"b\"\n\\ \x7f é"}};
  m.compiler = "gcc 12.2.0";
  m.flags = "-O2 -g";
  return m;
}

TEST(manifest, reads_back_what_it_printed) {
  const auto text = print(full()).value();
  const auto back = parse(text).value();
  EXPECT_EQ(print(back).value(), text);
  EXPECT_EQ(back.environment[0].value, full().environment[1].value);
  EXPECT_EQ(back.functions, full().functions);
  EXPECT_EQ(back.bound[0].name, "w");
}

TEST(manifest, a_class_and_a_sent_function_read_back_too) {
  auto m = full();
  m.is_class = true;
  m.constructor = "ctor";
  m.functions = {{"embed", "e", false}, {"dim", "d", true}};
  EXPECT_EQ(parse(print(m).value()).value().functions[0].name, "dim");
  auto sent = full();
  sent.symbol.clear();
  sent.offset = 0x12ab;
  sent.program = true;
  EXPECT_EQ(parse(print(sent).value()).value().offset, 0x12abu);
}

TEST(manifest, the_order_things_were_given_in_is_not_identity) {
  auto other = full();
  std::swap(other.bound[0], other.bound[1]);
  std::swap(other.files[0], other.files[1]);
  std::swap(other.environment[0], other.environment[1]);
  EXPECT_EQ(print(other).value(), print(full()).value());
}

TEST(manifest, everything_that_runs_is_identity) {
  const auto was = identity(print(full()).value());
  const std::vector<void (*)(manifest&)> changes{
      [](manifest& m) { m.module = content("module2"); },
      [](manifest& m) { m.build_id = "00ff13"; },
      [](manifest& m) { m.symbol = "other"; },
      [](manifest& m) { m.functions[0].idempotent = false; },
      [](manifest& m) { m.functions[0].signature = "x"; },
      [](manifest& m) { m.concurrency = 5; },
      [](manifest& m) { m.bound[0].value = content("bias2"); },
      [](manifest& m) { m.libraries[0].content = content("z2"); },
      [](manifest& m) { m.system[0].build_id = "abce"; },
      [](manifest& m) { m.files[0].content = content("labels2"); },
      [](manifest& m) { m.files[0].executable = true; },
      [](manifest& m) { m.environment[0].value = "5"; },
      [](manifest& m) { m.compiler = "clang 14.0.6"; },
      [](manifest& m) { m.flags = "-O3"; },
  };
  std::set<std::string> seen{was.hex()};
  for (const auto change : changes) {
    auto m = full();
    change(m);
    EXPECT_TRUE(seen.insert(identity(print(m).value()).hex()).second);
  }
}

TEST(manifest, names_every_blob_once) {
  auto m = full();
  m.files.push_back({"again", content("labels"), false});
  EXPECT_EQ(m.blobs().size(), 7u);
  EXPECT_EQ(m.blobs()[0], content("module"));
}

TEST(manifest, refuses_two_items_of_one_name) {
  auto m = full();
  m.environment.push_back({"MOTTO", "other"});
  auto text = print(m);
  ASSERT_FALSE(text.has_value());
  EXPECT_NE(text.error().message.find("MOTTO is given twice"), std::string::npos)
      << text.error().message;
}

TEST(manifest, a_text_that_is_not_canonical_is_refused_with_its_line) {
  const auto text = print(full()).value();
  const auto at = text.find("concurrency 4\n");
  const auto twice = text.substr(0, at) + "concurrency 4\n" + text.substr(at);
  const auto spaced = text.substr(0, at) + "concurrency 04\n" + text.substr(at + 14);
  for (const auto& bad : {twice, spaced, text + "\n", text.substr(0, text.size() - 1),
                          text.substr(at), std::string(), text + "what 1\n"}) {
    auto m = parse(bad);
    ASSERT_FALSE(m.has_value()) << bad;
    EXPECT_EQ(m.error().kind, kind::invalid);
  }
  EXPECT_NE(parse(spaced).error().message.find("line 5"), std::string::npos)
      << parse(spaced).error().message;
}

TEST(manifest, damaged_texts_are_errors_or_the_same_meaning) {
  const auto text = print(full()).value();
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  for (int i = 0; i < 3000; ++i) {
    auto bad = text;
    const auto at = random() % bad.size();
    if (random() % 2)
      bad[at] = static_cast<char>(random());
    else
      bad.erase(at, 1 + random() % 20);
    auto m = parse(bad);
    if (m) {
      EXPECT_EQ(print(*m).value(), bad) << "seed " << seed;
    }
  }
}

TEST(manifest, secrets_are_refused_by_word) {
  for (const auto* name : {"SECRET", "MY_TOKEN", "db_password", "PASSWD", "AWS_CREDENTIALS",
                           "PRIVATE_PATH", "API_KEY", "KEYS"}) {
    auto ok = check_variable_name(name);
    ASSERT_FALSE(ok.has_value()) << name;
    EXPECT_EQ(ok.error().code, "secret_variable");
    EXPECT_NE(ok.error().message.find("--env-file"), std::string::npos);
  }
  for (const auto* name : {"MONKEY", "TOKENIZER", "SECRETARY", "KEYBOARD", "_X", "PASS"})
    EXPECT_TRUE(check_variable_name(name).has_value()) << name;
  for (const auto* name : {"", "1A", "A-B", "A=B", "LD_PRELOAD", "BERTH_HEAD"})
    EXPECT_FALSE(check_variable_name(name).has_value()) << name;
}

TEST(manifest, secrets_lie_beside_it_and_show_nothing) {
  const std::vector<variable> all{{"API_TOKEN", "hunter2"}, {"A", "b=c"}};
  const auto text = print_secrets("salt", all).value();
  EXPECT_EQ(print_secrets("salt", {all[1], all[0]}).value(), text) << "the order does not matter";
  EXPECT_NE(print_secrets("pepper", all).value(), text);
  EXPECT_EQ(parse_secrets(text).value(), (std::vector<variable>{all[1], all[0]}));
  auto m = full();
  m.secrets = blob{store::digest_of(text), text.size()};
  const auto printed = print(m).value();
  EXPECT_EQ(printed.find("hunter2"), std::string::npos);
  EXPECT_EQ(printed.find("API_TOKEN"), std::string::npos);
  EXPECT_EQ(parse(printed).value().secrets, m.secrets);
  EXPECT_NE(identity(printed), identity(print(full()).value()));
  const auto blobs = m.blobs();
  EXPECT_NE(std::find(blobs.begin(), blobs.end(), *m.secrets), blobs.end());
  for (const auto& bad : {variable{"LD_PRELOAD", "x"}, variable{"BERTH_HEAD", "x"},
                          variable{"X", std::string(1, '\0')}, variable{"A", "twice"}})
    EXPECT_FALSE(print_secrets("", {{"A", "b"}, bad}).has_value()) << bad.name;
  for (std::size_t cut = 0; cut < text.size(); ++cut)
    (void)parse_secrets(text.substr(0, cut));
  EXPECT_FALSE(parse_secrets(text.substr(0, text.size() - 1)).has_value());
  EXPECT_FALSE(parse_secrets("berth-secrets 0\n999999999999999999999\n").has_value());
}

TEST(manifest, files_stay_in_the_folder) {
  for (const auto* path : {"a", "a/b.txt", "..a/b", "a b"})
    EXPECT_TRUE(check_file_path(path).has_value()) << path;
  for (const auto* path : {"", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a"})
    EXPECT_FALSE(check_file_path(path).has_value()) << path;
  EXPECT_FALSE(check_file_path(std::string(256, 'a')).has_value());
}

}  // namespace
}  // namespace berth::module
