// Peers that break every rule: the link ends with an error, the process and its other links go on, memory is bounded.

#include "tests/net/stranger.hpp"

#include "runtime/net/blocking.hpp"
#include "runtime/net/pass_fd.hpp"
#include "runtime/net/segments.hpp"

#include <bit>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <thread>

namespace berth::net::testing {
namespace {

frame_header header_of(frame_kind kind) {
  frame_header header;
  header.kind = kind;
  return header;
}

std::vector<std::byte> raw(const frame_header& header) {
  const auto bytes = std::as_bytes(std::span(&header, 1));
  return {bytes.begin(), bytes.end()};
}

/// Whether the honest link of the same server still answers.
void expect_others_served(pair& both) {
  EXPECT_EQ(call(*both.link, "honest"), "honest");
}

TEST(ring_stranger, is_hung_up_on_for_frames_that_cannot_be) {
  pair both;
  const auto refused = [&](const std::function<void(ring_stranger&)>& act, const char* what) {
    ring_stranger one(*both.serves);
    act(one);
    EXPECT_TRUE(one.is_hung_up_on()) << what;
  };
  auto header = header_of(frame_kind::call);
  header.size = 0xffff'ffff;
  refused([&](auto& one) { one.write(raw(header), 64); }, "longer than what was published");
  header.size = 60'000;
  refused([&](auto& one) { one.write(raw(header), 60'064); }, "beyond the frame limit");
  refused([&](auto& one) { one.write(raw(header_of(frame_kind::call)), 33); }, "an odd position");
  refused([&](auto& one) { one.write({}, 1 << 20); }, "more published than a ring holds");
  refused([&](auto& one) { one.send(header_of(static_cast<frame_kind>(77))); }, "unknown kind");
  refused([&](auto& one) { one.send(header_of(frame_kind::result)); }, "a callee's frame");
  refused([&](auto& one) { one.send(header_of(frame_kind::release)); }, "nothing was lent");
  refused([&](auto& one) { one.send(header_of(frame_kind::chunk)); }, "an empty chunk");
  auto compound = header_of(frame_kind::call);
  compound.externals = 65'535;
  refused([&](auto& one) { one.send(compound); }, "a table beyond the body");
  compound.externals = 0;
  compound.flags = flag_transfer;
  refused([&](auto& one) { one.send(compound); }, "a transfer without a head");
  expect_others_served(both);
}

TEST(ring_stranger, is_hung_up_on_for_transfers_and_payloads_that_cannot_be) {
  pair both;
  const auto refused = [&](std::uint32_t way, std::uint32_t id, std::uint64_t offset,
                           std::uint64_t size, const char* what) {
    ring_stranger one(*both.serves);
    auto header = header_of(frame_kind::call);
    header.externals = 1;
    const external_place place{static_cast<external_place::way>(way), id, offset, size};
    one.send(header, std::as_bytes(std::span(&place, 1)));
    EXPECT_TRUE(one.is_hung_up_on()) << what;
  };
  refused(1, 5, 0, 10, "an unknown segment");
  refused(3, 5, 0, 10, "an unknown way");
  refused(2, 5, 0, 0, "an empty transfer");
  refused(2, 5, 0, std::uint64_t{1} << 60, "an exabyte announced");
  expect_others_served(both);
}

TEST(ring_stranger, may_announce_much_but_costs_only_what_it_sends) {
  pair both;
  ring_stranger one(*both.serves);
  auto header = header_of(frame_kind::call);
  header.externals = 1;
  const external_place place{external_place::way::transfer, 5, 0, std::uint64_t{2} << 30};
  one.send(header, std::as_bytes(std::span(&place, 1)));
  auto chunk = header_of(frame_kind::chunk);
  chunk.binding = 5;
  const std::vector<std::byte> piece(1000);
  one.send(chunk, piece);
  chunk.revision = 999;  // does not continue the transfer
  one.send(chunk, piece);
  EXPECT_TRUE(one.is_hung_up_on());
  expect_others_served(both);
}

base::unique_fd memory(std::uint64_t bytes, unsigned seals) {
  base::unique_fd fd(::memfd_create("stranger", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(bytes)), 0);
  if (seals != 0) {
    EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, seals), 0);
  }
  return fd;
}

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
constexpr unsigned size_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

TEST(ring_stranger,
     is_hung_up_on_for_segments_without_seals_of_other_sizes_or_without_descriptors) {
  pair both;
  const auto refused = [&](const base::unique_fd& fd, std::uint64_t bytes, const char* what) {
    ring_stranger one(*both.serves);
    const int raw_fd = fd.get();
    one.announce(1, bytes, fd ? std::span(&raw_fd, 1) : std::span<const int>());
    EXPECT_TRUE(one.is_hung_up_on()) << what;
  };
  refused(memory(65'536, 0), 65'536, "unsealed");
  refused(memory(65'536, size_seals), 65'536, "its writer could still let others write");
  refused(memory(65'536, size_seals | F_SEAL_FUTURE_WRITE), 131'072, "shorter than announced");
  refused(base::unique_fd(), 65'536, "no descriptor");
  refused(base::unique_fd(::eventfd(0, EFD_CLOEXEC)), 65'536, "no memory file");
  expect_others_served(both);
}

TEST(ring_stranger, is_hung_up_on_for_too_many_segments_or_descriptors) {
  pair both;
  const auto fd = memory(65'536, size_seals | F_SEAL_FUTURE_WRITE);
  {
    ring_stranger one(*both.serves);
    const int raw_fd = fd.get();
    for (std::uint64_t id = 1; id <= 200; ++id)
      one.announce(id, 65'536, std::span(&raw_fd, 1));
    EXPECT_TRUE(one.is_hung_up_on());
  }
  {
    ring_stranger one(*both.serves);
    const std::vector<int> eight(8, fd.get());
    const std::array<std::byte, 1> crumb{};  // descriptors that come with no whole announcement
    for (int i = 0; i < 31; ++i)
      static_cast<void>(!send_with_fds(one.socket.get(), crumb, eight));
    EXPECT_TRUE(one.is_hung_up_on());
  }
  expect_others_served(both);
}

TEST(ring_stranger, may_read_only_what_it_borrows) {
  auto made = base::segment::create(65'536);
  ASSERT_TRUE(made);
  const int fd = (*made)->fd();
  EXPECT_EQ(::mmap(nullptr, 65'536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
  void* at = ::mmap(nullptr, 65'536, PROT_READ, MAP_SHARED, fd, 0);
  ASSERT_NE(at, MAP_FAILED);
  EXPECT_NE(::mprotect(at, 65'536, PROT_READ | PROT_WRITE), 0);
  EXPECT_NE(::ftruncate(fd, 0), 0);
  EXPECT_NE(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
  ::munmap(at, 65'536);
}

TEST(ring_stranger, punching_holes_into_the_ring_harms_only_itself) {
  pair both;
  ring_stranger one(*both.serves);
  for (int i = 0; i < 50; ++i) {
    one.send(header_of(frame_kind::call));
    EXPECT_EQ(::fallocate(one.offer.memory.fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                          static_cast<off_t>(ring_memory_bytes(one.offer.ring_bytes))),
              0);
  }
  expect_others_served(both);
}

// Words of the whole shared memory change at random while the server reads.
TEST(ring_stranger, may_scribble_over_every_word_while_the_server_reads) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  pair both;
  for (int round = 0; round < 40; ++round) {
    ring_stranger one(*both.serves);
    auto* words = reinterpret_cast<std::atomic<std::uint64_t>*>(one.offer.memory.memory.data());
    const auto count = one.offer.memory.memory.size() / sizeof(std::uint64_t);
    const auto until = in(20ms);
    while (base::steady::now() < until) {
      for (int i = 0; i < 500; ++i) {
        const bool near_the_front = random() % 2 == 0;
        const auto at = near_the_front ? random() % 700 : random() % count;
        const auto value = random() % 3 == 0 ? random() % 70'000 : random();
        words[at].store(value, std::memory_order_relaxed);
      }
      one.out.words->head.store(random() % 4096 * 32);
      one.ring();
    }
    expect_others_served(both);
  }
}

TEST(ring_stranger, garbage_frames_never_take_the_server_down) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  pair both;
  for (int round = 0; round < 300; ++round) {
    ring_stranger one(*both.serves);
    for (int frame = 0; frame < 20; ++frame) {
      auto header = std::bit_cast<frame_header>(
          std::array<std::uint64_t, 4>{random() % 8, random() % 8, random(), random()});
      header.kind = static_cast<frame_kind>(random() % 22);
      header.flags = static_cast<std::uint8_t>(random() % 64);
      header.externals = static_cast<std::uint16_t>(random() % 3);
      std::vector<std::byte> body(random() % 200);
      for (auto& byte : body)
        byte = static_cast<std::byte>(random() % 5);
      one.send(header, body);
    }
  }
  expect_others_served(both);
}

class socket_lanes : public ::testing::TestWithParam<over> {};

INSTANTIATE_TEST_SUITE_P(lanes,
                         socket_lanes,
                         ::testing::Values(over::unix_socket, over::tcp),
                         [](const auto& with) { return name(with.param); });

TEST_P(socket_lanes, hang_up_on_oversized_garbage_and_torn_frames) {
  pair both;
  {
    socket_stranger one(*both.serves, GetParam());
    auto header = header_of(frame_kind::call);
    header.size = 0xffff'fff0;
    one.send(raw(header));
    EXPECT_TRUE(one.is_hung_up_on()) << "oversized";
  }
  {
    socket_stranger one(*both.serves, GetParam());
    one.send(bytes_of("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"));
    EXPECT_TRUE(one.is_hung_up_on()) << "another protocol";
  }
  {
    socket_stranger one(*both.serves, GetParam());
    auto header = header_of(frame_kind::call);
    header.size = 1000;
    one.send(raw(header));
    one.socket.reset();  // in the middle of a frame
  }
  expect_others_served(both);
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 100; ++round) {
    socket_stranger one(*both.serves, GetParam());
    std::vector<std::byte> bytes(random() % 3000);
    for (auto& byte : bytes)
      byte = static_cast<std::byte>(random() % 21);
    one.send(bytes);
  }
  expect_others_served(both);
}

TEST(greeting, refuses_another_protocol_and_names_both_versions) {
  pair both;
  auto sockets = make_sockets(over::tcp);
  accepted one;
  one.socket = std::move(sockets.server);
  one.over_tcp = true;
  both.serves->adopt(std::move(one));
  hello words;
  words.protocol = 99;
  words.version = "9.9.9";
  const auto theirs = greet_by_hand(sockets.caller.get(), words, {});
  EXPECT_EQ(theirs.refused.kind, kind::invalid);
  EXPECT_NE(theirs.refused.message.find("9.9.9"), std::string::npos);
  EXPECT_NE(theirs.refused.message.find(berth_version), std::string::npos);
}

TEST(greeting, survives_garbage_in_place_of_a_hello) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  pair both;
  for (int round = 0; round < 200; ++round) {
    auto sockets = make_sockets(over::ring);
    accepted one;
    one.socket = std::move(sockets.server);
    both.serves->adopt(std::move(one));
    auto bytes = encode(hello{});
    if (round % 2 == 0) {
      for (int i = 0; i < 4; ++i)
        bytes[8 + random() % (bytes.size() - 8)] = static_cast<std::byte>(random());
    } else {
      for (auto& byte : bytes)
        byte = static_cast<std::byte>(random());
    }
    static_cast<void>(static_cast<bool>(send_all(sockets.caller.get(), bytes, {}, in(5s))));
  }
  expect_others_served(both);
}

/// Offers a ring of these descriptors and returns what the server says.
welcome offer(pair& both, int memory_fd, int bell, std::uint32_t ring_bytes = 65'536) {
  auto sockets = make_sockets(over::ring);
  accepted one;
  one.socket = std::move(sockets.server);
  both.serves->adopt(std::move(one));
  hello words;
  words.ring_bytes = ring_bytes;
  const std::array<int, 3> fds{memory_fd, bell, bell};
  return greet_by_hand(sockets.caller.get(), words, fds);
}

TEST(greeting, takes_the_unix_lane_when_the_offered_ring_cannot_be_trusted) {
  pair both;
  const base::unique_fd bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const auto bytes = ring_memory_bytes(65'536);
  const auto unsealed = offer(both, memory(bytes, 0).get(), bell.get());
  EXPECT_FALSE(unsealed.ring);
  EXPECT_NE(unsealed.lane_reason.find("seals"), std::string::npos) << unsealed.lane_reason;
  EXPECT_FALSE(offer(both, memory(4096, size_seals).get(), bell.get()).ring);
  EXPECT_FALSE(offer(both, memory(bytes, size_seals).get(), bell.get(), 65'535).ring);
  const auto good = memory(bytes, size_seals);
  const auto no_bell = offer(both, good.get(), good.get());
  EXPECT_FALSE(no_bell.ring);
  EXPECT_NE(no_bell.lane_reason.find("bell"), std::string::npos) << no_bell.lane_reason;
  EXPECT_TRUE(offer(both, good.get(), bell.get()).ring);
}

// The other way round: a server that scribbles. The caller hears of it, in bounded time.
TEST(hostile_server, cannot_take_its_caller_down_or_hold_it) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  auto drives = driver::start();
  ASSERT_TRUE(drives);
  for (int round = 0; round < 20; ++round) {
    auto sockets = make_sockets(over::ring);
    std::atomic<bool> stop{false};
    std::thread scribbler([&, round] {
      std::mt19937_64 random(seed + static_cast<unsigned>(round));
      std::array<std::byte, greeting_prefix_bytes> prefix{};
      std::vector<base::unique_fd> fds;
      ASSERT_TRUE(receive_all(sockets.server.get(), prefix, &fds, 3, in(10s)));
      std::vector<std::byte> body(*greeting_size(prefix));
      ASSERT_TRUE(receive_all(sockets.server.get(), body, &fds, 3, in(10s)));
      auto mapped = base::map_memory_file(fds.at(0).get(), ring_memory_bytes(65'536),
                                          base::sealing::size, base::access::read_write);
      ASSERT_TRUE(mapped);
      welcome words;
      words.ring = true;
      words.credits = 16;
      ASSERT_TRUE(send_all(sockets.server.get(), encode(words), {}, in(10s)));
      auto* at = reinterpret_cast<std::atomic<std::uint64_t>*>(mapped->data());
      while (!stop) {
        for (int i = 0; i < 100; ++i) {
          const auto where = random() % 2 == 0 ? random() % 600 : random() % (mapped->size() / 8);
          at[where].store(random() % 2 == 0 ? random() % 4096 * 32 : random());
        }
        const std::uint64_t one = 1;
        static_cast<void>(!::write(fds.at(1).get(), &one, sizeof one));
      }
    });
    connect_options how;
    how.calling.drives = drives->get();
    auto link = connect_over(std::move(sockets.caller), how);
    ASSERT_TRUE(link) << link.error().to_string();
    for (int i = 0; i < 20 && !(*link)->closed(); ++i) {
      pending slot;
      auto open = (*link)->begin(slot, header_of(frame_kind::call), 8, {}, in(10ms));
      if (!open) continue;
      open.commit();
      const auto begun = base::steady::now();
      (*link)->wait(slot, in(10ms));
      EXPECT_LT(base::steady::now() - begun, 5s);
    }
    stop = true;
    scribbler.join();
  }
}

}  // namespace
}  // namespace berth::net::testing
