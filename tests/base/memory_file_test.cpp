#include "runtime/base/memory_file.hpp"

#include "runtime/base/segment.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

namespace berth::base {
namespace {

TEST(memory_file, keeps_its_size_whatever_anybody_does) {
  const auto made = make_memory_file("test", 65'536, sealing::size);
  ASSERT_TRUE(made);
  EXPECT_NE(::ftruncate(made->fd.get(), 4096), 0);
  EXPECT_NE(::ftruncate(made->fd.get(), 131'072), 0);
  EXPECT_TRUE(map_memory_file(made->fd.get(), 65'536, sealing::size, access::read_write));
}

TEST(memory_file, is_refused_when_size_or_seals_are_not_as_they_must_be) {
  const auto made = make_memory_file("test", 65'536, sealing::size);
  ASSERT_TRUE(made);
  const int fd = made->fd.get();
  EXPECT_EQ(map_memory_file(fd, 4096, sealing::size, access::read).error().kind, kind::invalid);
  EXPECT_EQ(map_memory_file(fd, 65'536, sealing::size_and_writing, access::read).error().kind,
            kind::invalid);
  EXPECT_FALSE(map_memory_file(0, 65'536, sealing::size, access::read));
}

TEST(memory_file, says_that_memory_is_out_instead_of_dying_later) {
  const auto made = make_memory_file("test", std::uint64_t{1} << 50, sealing::size);
  ASSERT_FALSE(made);
}

TEST(segment, is_written_by_its_owner_and_read_by_who_received_it) {
  const auto mine = segment::create(100'000);
  ASSERT_TRUE(mine);
  EXPECT_EQ((*mine)->size(), whole_pages(100'000));
  (*mine)->writable()[5] = std::byte{42};
  const auto theirs =
      segment::adopt(unique_fd(::fcntl((*mine)->fd(), F_DUPFD_CLOEXEC, 0)), (*mine)->size());
  ASSERT_TRUE(theirs);
  EXPECT_EQ((*theirs)->data()[5], std::byte{42});
  EXPECT_EQ((*theirs)->writable(), nullptr);
  (*mine)->writable()[5] = std::byte{43};
  EXPECT_EQ((*theirs)->data()[5], std::byte{43});
  EXPECT_NE((*mine)->id(), (*theirs)->id());
}

}  // namespace
}  // namespace berth::base
