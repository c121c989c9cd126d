#include "runtime/process/log_ring.hpp"

#include <atomic>
#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <unistd.h>

namespace {

using namespace berth::process;  // NOLINT: the unit under test
using namespace std::chrono_literals;

std::unique_ptr<log_writer> writer_of(const log_ring& ring) {
  return log_writer::open(berth::base::unique_fd(::fcntl(ring.fd(), F_DUPFD_CLOEXEC, 0))).value();
}

TEST(log_ring, gives_back_lines_with_call_stream_and_order) {
  auto ring = log_ring::make().value();
  auto writer = writer_of(*ring);
  log_reader reader(ring, log_reader::start::oldest);
  EXPECT_FALSE(reader.next());
  writer->append(log_stream::out, {3, 7}, "hello");
  writer->append(log_stream::err, {}, std::string(5000, 'y'), true);
  writer->append(log_stream::err, {}, "");
  auto line = reader.next().value();
  EXPECT_EQ(line.text, "hello");
  EXPECT_EQ(line.tag, (call_tag{3, 7}));
  EXPECT_EQ(line.stream, log_stream::out);
  EXPECT_EQ(line.sequence, 1U);
  EXPECT_FALSE(line.open);
  line = reader.next().value();
  EXPECT_EQ(line.text.size(), log_line_bytes_max);
  EXPECT_TRUE(line.open);
  EXPECT_EQ(line.stream, log_stream::err);
  EXPECT_EQ(reader.next()->text, "");
  EXPECT_FALSE(reader.next());
  log_reader late(ring, log_reader::start::newest);
  EXPECT_FALSE(late.next());
  EXPECT_EQ(ring->last(2).at(0).text.size(), log_line_bytes_max);
  EXPECT_EQ(ring->last(100).size(), 3U);
}

TEST(log_ring, a_slow_reader_loses_lines_and_learns_how_many) {
  auto ring = log_ring::make(32 * 1024).value();
  auto writer = writer_of(*ring);
  log_reader reader(ring, log_reader::start::oldest);
  writer->append(log_stream::out, {}, "line 1");
  EXPECT_EQ(reader.next()->text, "line 1");
  constexpr int lines = 5000;
  for (int n = 2; n <= lines; ++n)
    writer->append(log_stream::out, {}, "line " + std::to_string(n));
  std::uint64_t seen = 1;
  std::uint64_t skipped = 0;
  while (auto line = reader.next()) {
    ++seen;
    skipped += line->skipped;
    EXPECT_EQ(line->text, "line " + std::to_string(line->sequence));
  }
  EXPECT_GT(skipped, 0U);
  EXPECT_EQ(seen + skipped, static_cast<std::uint64_t>(lines));
}

TEST(log_ring, never_gives_a_torn_line_while_several_threads_write) {
  auto ring = log_ring::make(32 * 1024).value();
  auto writer = writer_of(*ring);
  std::atomic<int> done{0};
  const auto write = [&](char mark) {
    for (int n = 0; n < 20'000; ++n)
      writer->append(log_stream::out, {}, std::string(static_cast<std::size_t>(n % 300), mark));
    ++done;
  };
  std::thread a(write, 'a');
  std::thread b(write, 'b');
  log_reader reader(ring, log_reader::start::oldest);
  std::uint64_t seen = 0;
  std::uint64_t skipped = 0;
  for (;;) {
    const bool last = done == 2;
    while (auto line = reader.next()) {
      ++seen;
      skipped += line->skipped;
      const bool whole = line->text.find_first_not_of(line->text.empty() ? 'a' : line->text[0])
                         == std::string::npos;
      ASSERT_TRUE(whole) << "a line of two writers: " << line->text;
    }
    if (last) break;
  }
  a.join();
  b.join();
  // What was overwritten before the first line was read has no line before it to be counted at.
  EXPECT_LE(seen + skipped, 40'000U);
  EXPECT_GT(seen, 0U);
}

TEST(log_ring, wakes_a_reader_that_waits) {
  auto ring = log_ring::make().value();
  auto writer = writer_of(*ring);
  log_reader reader(ring, log_reader::start::oldest);
  EXPECT_FALSE(reader.wait(1ms));
  std::thread late([&] { writer->append(log_stream::out, {}, "now"); });
  bool woken = false;
  for (int n = 0; n < 100 && !woken; ++n)
    woken = reader.wait(100ms);
  late.join();
  EXPECT_TRUE(woken);
  EXPECT_EQ(reader.next()->text, "now");
}

TEST(log_ring, what_a_stranger_scribbles_is_skipped_never_believed) {
  auto ring = log_ring::make(32 * 1024).value();
  auto writer = writer_of(*ring);
  auto map = shared_region::map(berth::base::unique_fd(::dup(ring->fd())), 64).value();
  std::uint64_t seed = 4242;
  for (int round = 0; round < 500; ++round) {
    writer->append(log_stream::out, {}, std::string(static_cast<std::size_t>(round), 'z'));
    auto* words = reinterpret_cast<std::atomic<std::uint64_t>*>(map.data());
    for (std::size_t n = 8; n < map.size() / 8; ++n) {
      seed = seed * 6364136223846793005 + 1442695040888963407;
      if (seed >> 60 == 0) words[n].store(seed, std::memory_order_relaxed);
    }
    for (const auto& line : ring->last(50))
      ASSERT_LE(line.text.size(), log_line_bytes_max);
  }
  EXPECT_EQ(log_writer::open(berth::base::unique_fd(::open("/dev/null", O_RDWR))).error().kind,
            berth::kind::invalid);
}

}  // namespace
