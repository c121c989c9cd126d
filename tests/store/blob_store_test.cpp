#include "runtime/store/blob_store.hpp"

#include <atomic>
#include <cerrno>
#include <fstream>
#include <gtest/gtest.h>
#include <thread>

namespace berth::store {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// A disk with room for a number of bytes; `grow` makes more.
class small_disk : public disk {
 public:
  explicit small_disk(std::uint64_t room) : room_(room) {}

  long write(int fd, std::span<const std::byte> bytes, std::uint64_t offset) override {
    if (room_ == 0) {
      errno = ENOSPC;
      return -1;
    }
    const auto fits = std::min<std::uint64_t>(room_, bytes.size());
    room_ -= fits;
    return disk::write(fd, bytes.first(fits), offset);
  }

  void grow(std::uint64_t room) { room_ += room; }

 private:
  std::uint64_t room_;
};

class store_in_a_folder : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "berth-store-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder = pattern;
    reopen();
  }

  void TearDown() override {
    store.reset();
    fs::remove_all(folder);
  }

  void reopen() {
    store.reset();
    store = blob_store::open(folder, {.blob_bytes_max = 1000}).value();
  }

  std::size_t partial_files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder / "partial"), fs::directory_iterator()));
  }

  fs::path folder;
  std::unique_ptr<blob_store> store;
};

TEST_F(store_in_a_folder, gives_back_what_was_put_also_after_reopening) {
  const auto name = store->put(bytes_of("module")).value();
  EXPECT_EQ(name, digest_of("module"));
  EXPECT_EQ(store->put(bytes_of("module")).value(), name);
  reopen();
  EXPECT_TRUE(store->has(name));
  EXPECT_EQ(text_of(store->read(name, 100).value()), "module");
  EXPECT_EQ(partial_files(), 0u);
}

TEST_F(store_in_a_folder, names_what_is_missing_once_and_in_order) {
  (void)store->put(bytes_of("a")).value();
  const std::vector wanted{digest_of("c"), digest_of("a"), digest_of("b"), digest_of("c")};
  EXPECT_EQ(store->missing(wanted), (std::vector{digest_of("c"), digest_of("b")}));
}

TEST_F(store_in_a_folder, an_upload_resumes_after_a_restart) {
  const auto name = digest_of("hello world");
  auto first = store->upload(name, 0, 11, bytes_of("hello "));
  EXPECT_EQ(first.value().received, 6u);
  EXPECT_FALSE(first.value().complete);
  EXPECT_FALSE(store->has(name));
  reopen();
  EXPECT_EQ(store->progress(name).received, 6u);
  auto wrong = store->upload(name, 3, 11, bytes_of("lo world"));
  ASSERT_FALSE(wrong.has_value());
  EXPECT_EQ(wrong.error().kind, kind::conflict);
  EXPECT_NE(wrong.error().message.find("goes on at 6"), std::string::npos) << wrong.error().message;
  EXPECT_TRUE(store->upload(name, 6, 11, bytes_of("world")).value().complete);
  EXPECT_TRUE(store->progress(name).complete);
  EXPECT_EQ(text_of(store->read(name, 11).value()), "hello world");
}

TEST_F(store_in_a_folder, bytes_of_another_digest_never_appear_and_the_upload_starts_anew) {
  const auto name = digest_of("right");
  auto r = store->upload(name, 0, 5, bytes_of("wrong"));
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(r.error().kind, kind::invalid);
  EXPECT_NE(r.error().message.find(name.hex()), std::string::npos);
  EXPECT_FALSE(store->has(name));
  EXPECT_EQ(store->progress(name).received, 0u);
  EXPECT_TRUE(store->upload(name, 0, 5, bytes_of("right")).value().complete);
}

TEST_F(store_in_a_folder, an_empty_blob_is_a_blob) {
  EXPECT_TRUE(store->upload(digest_of(""), 0, 0, {}).value().complete);
  EXPECT_TRUE(store->read(digest_of(""), 0).value().empty());
}

TEST_F(store_in_a_folder,
       pieces_beyond_the_end_and_blobs_above_the_limit_are_refused_before_a_byte_is_written) {
  for (auto& r : {store->upload(digest_of("x"), 0, 2, bytes_of("xyz")),
                  store->upload(digest_of("x"), ~std::uint64_t{0}, 2, bytes_of("x")),
                  store->upload(digest_of("x"), 0, 1001, bytes_of("x")),
                  store->upload(digest_of("x"), 3, 2, {})}) {
    ASSERT_FALSE(r.has_value());
    EXPECT_EQ(r.error().kind, kind::invalid);
  }
  EXPECT_FALSE(store->put(std::vector<std::byte>(1001)).has_value());
  EXPECT_EQ(partial_files(), 0u);
}

TEST_F(store_in_a_folder, a_full_disk_is_an_error_that_says_so_and_leaves_the_rest_usable) {
  (void)store->put(bytes_of("before")).value();
  auto owned = std::make_unique<small_disk>(4);
  auto& room = *owned;
  store = blob_store::open(folder, {}, std::move(owned)).value();
  auto put = store->put(bytes_of("123456"));
  ASSERT_FALSE(put.has_value());
  EXPECT_EQ(put.error().code, "disk_full");
  EXPECT_EQ(partial_files(), 0u);

  room.grow(3);
  const auto name = digest_of("abcdef");
  auto piece = store->upload(name, 0, 6, bytes_of("abcdef"));
  ASSERT_FALSE(piece.has_value());
  EXPECT_EQ(piece.error().code, "disk_full");
  EXPECT_EQ(store->progress(name).received, 3u);

  room.grow(100);
  EXPECT_TRUE(store->upload(name, 3, 6, bytes_of("def")).value().complete);
  EXPECT_EQ(text_of(store->read(digest_of("before"), 100).value()), "before");
}

TEST_F(store_in_a_folder, collect_keeps_what_is_named_or_leased) {
  const auto kept = store->put(bytes_of("kept")).value();
  const auto leased = store->put(bytes_of("leased")).value();
  const auto gone = store->put(bytes_of("gone")).value();
  const auto coming = digest_of("coming");
  auto held = store->hold(leased);
  auto also_held = store->hold(leased);
  const auto arriving = store->hold(coming);
  (void)store->upload(coming, 0, 6, bytes_of("com")).value();
  EXPECT_EQ(store->collect({kept}), 4u);
  EXPECT_TRUE(store->has(kept));
  EXPECT_TRUE(store->has(leased));
  EXPECT_FALSE(store->has(gone));
  EXPECT_EQ(store->progress(coming).received, 3u);
  held = lease();
  EXPECT_EQ(store->collect({kept}), 0u);
  also_held = lease();
  EXPECT_EQ(store->collect({kept}), 6u);
}

TEST_F(store_in_a_folder, a_missing_blob_is_an_error_of_that_kind) {
  auto fd = store->open_blob(digest_of("nowhere"));
  ASSERT_FALSE(fd.has_value());
  EXPECT_EQ(fd.error().kind, kind::missing);
}

TEST_F(store_in_a_folder, two_threads_that_put_the_same_bytes_both_succeed) {
  const std::vector<std::byte> bytes(999, std::byte{7});
  std::vector<std::thread> both;
  std::atomic<int> good = 0;
  for (int i = 0; i < 4; ++i)
    both.emplace_back([&] { good += store->put(bytes).has_value() ? 1 : 0; });
  for (auto& t : both)
    t.join();
  EXPECT_EQ(good, 4);
  EXPECT_EQ(store->read(digest_of(bytes), 1000).value(), bytes);
}

TEST_F(store_in_a_folder, the_folder_is_private) {
  EXPECT_EQ(fs::status(folder).permissions() & fs::perms::mask, fs::perms::owner_all);
}

TEST(blob_store, a_folder_that_cannot_be_made_is_an_error) {
  auto store = blob_store::open("/proc/berth/store");
  ASSERT_FALSE(store.has_value());
  EXPECT_NE(store.error().message.find("/proc/berth"), std::string::npos);
}

}  // namespace
}  // namespace berth::store
