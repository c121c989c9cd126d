#include "runtime/store/digest.hpp"

#include <gtest/gtest.h>

namespace berth::store {
namespace {

// FIPS 180-2, appendix B.1, and the digest of nothing.
constexpr auto abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr auto nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

TEST(digest, is_sha256) {
  EXPECT_EQ(digest_of("abc").hex(), abc);
  EXPECT_EQ(digest_of("").hex(), nothing);
}

TEST(digest, pieces_hash_as_the_whole_and_the_hasher_starts_afresh) {
  hasher h;
  h.add("a");
  h.add("bc");
  EXPECT_EQ(h.finish().hex(), abc);
  EXPECT_EQ(h.finish().hex(), nothing);
}

TEST(digest, text_reads_back_in_either_case) {
  const auto d = digest_of("abc");
  EXPECT_EQ(digest::from_hex(abc).value(), d);
  std::string upper = abc;
  for (auto& c : upper)
    c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  EXPECT_EQ(digest::from_hex(upper).value(), d);
}

TEST(digest, refuses_other_texts) {
  for (const std::string& bad :
       {std::string(), std::string(63, 'a'), std::string(65, 'a'), std::string(64, 'g')}) {
    auto d = digest::from_hex(bad);
    ASSERT_FALSE(d.has_value()) << bad;
    EXPECT_EQ(d.error().kind, kind::invalid);
  }
}

TEST(digest, of_a_file_that_is_not_there_is_missing) {
  auto d = digest_of_file("/nonexistent/berth");
  ASSERT_FALSE(d.has_value());
  EXPECT_EQ(d.error().kind, kind::missing);
  EXPECT_NE(d.error().message.find("/nonexistent/berth"), std::string::npos);
}

}  // namespace
}  // namespace berth::store
