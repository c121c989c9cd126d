// What travels between supervisor, head and workers: round trips of every message, and strangers' bytes.
#include "runtime/process/lifeline.hpp"
#include "runtime/process/packet_socket.hpp"
#include "runtime/process/supervisor_messages.hpp"
#include "runtime/process/worker_control.hpp"

#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <random>
#include <sys/resource.h>
#include <unistd.h>

namespace {

using namespace berth::process;  // NOLINT: the unit under test
using namespace std::chrono_literals;

berth::error_info some_error() {
  auto why = berth::fail(berth::kind::overloaded, "busy", "come later").at("while a").at("while b");
  why.retry_after_ms = 250;
  return why;
}

std::vector<to_supervisor> all_to_supervisor() {
  return {start_worker{7, {{"berth-worker", "-x"}, {"A=1", "B="}, "/tmp", {"BERTH_PAGE_FD"}}},
          start_worker{}, stop_worker{7, 1500ms},
          head_ready{{{"address", "127.0.0.1:7"}, {"x", ""}}}, shut_down{5000ms}};
}

std::vector<from_supervisor> all_from_supervisor() {
  const worker_ended ended{9, {77, death::way::signalled, 11, true}, true};
  return {welcome{3, 12, {ended, {1, {5, death::way::exited, 2, false}, false}}},
          worker_started{7, 99}, worker_refused{8, some_error()}, ended, stop_asked{10ms}};
}

std::vector<to_worker> all_to_worker() {
  return {load{"a/b", 3, "ff", "manifest\n", "worker:12", 64, 5s, {{"aa", 0}, {"bb", 1}}},
          more_blobs{{{"cc", 0}}}, hand_over{1000, 42, "unix uid 1000"}, drain{250ms}};
}

std::vector<from_worker> all_from_worker() {
  return {worker_ready{std::string("\0\x01sig", 5), 1.5, 2.5}, worker_unfit{some_error()},
          worker_links{4}, worker_drained{}};
}

TEST(messages, each_reads_back_as_it_was) {
  for (const auto& one : all_to_supervisor())
    EXPECT_EQ(decode_to_supervisor(encode(one)).value(), one);
  for (const auto& one : all_from_supervisor())
    EXPECT_EQ(decode_from_supervisor(encode(one)).value(), one);
  for (const auto& one : all_to_worker())
    EXPECT_EQ(decode_to_worker(encode(one)).value(), one);
  for (const auto& one : all_from_worker())
    EXPECT_EQ(decode_from_worker(encode(one)).value(), one);
}

template <class Decode>
void damage(const std::vector<std::byte>& good, Decode decode, std::mt19937_64& random) {
  for (std::size_t length = 0; length < good.size(); ++length)
    (void)decode(std::span(good).first(length));
  for (int n = 0; n < 2000; ++n) {
    auto bad = good;
    for (int flips = 0; flips < 3; ++flips)
      bad[random() % bad.size()] ^= static_cast<std::byte>(1U << random() % 8);
    (void)decode(bad);
  }
}

TEST(messages, damaged_ones_are_errors_and_never_a_crash) {
  const auto seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937_64 random(seed);
  for (const auto& one : all_to_supervisor())
    damage(encode(one), decode_to_supervisor, random);
  for (const auto& one : all_from_supervisor())
    damage(encode(one), decode_from_supervisor, random);
  for (const auto& one : all_to_worker())
    damage(encode(one), decode_to_worker, random);
  for (const auto& one : all_from_worker())
    damage(encode(one), decode_from_worker, random);
  const std::vector<std::byte> noise(64, std::byte{0xff});
  EXPECT_EQ(decode_to_worker(noise).error().kind, berth::kind::invalid);
  EXPECT_FALSE(decode_to_worker({}));
}

TEST(packet_socket, carries_bytes_and_descriptors_and_tells_the_end) {
  auto pair = make_packet_pair().value();
  const std::vector<std::byte> bytes(packet_bytes_max, std::byte{7});
  auto pipe = make_pipe().value();
  EXPECT_FALSE(receive_packet(pair.far.get(), 1ms).value());
  ASSERT_TRUE(
      send_packet(pair.near.get(), bytes, std::vector<int>{pipe.write.get(), pipe.write.get()}));
  auto one = receive_packet(pair.far.get(), 5s).value().value();
  EXPECT_EQ(one.bytes, bytes);
  ASSERT_EQ(one.descriptors.size(), 2U);
  EXPECT_EQ(::write(one.descriptors[1].get(), "x", 1), 1);
  EXPECT_NE(::fcntl(one.descriptors[0].get(), F_GETFD) & FD_CLOEXEC, 0);
  const std::vector<std::byte> too_large(packet_bytes_max + 1);
  EXPECT_EQ(send_packet(pair.near.get(), too_large).error().kind, berth::kind::invalid);
  pair.near.reset();
  EXPECT_EQ(receive_packet(pair.far.get(), 5s).error().kind, berth::kind::disconnected);
  EXPECT_EQ(send_packet(pair.far.get(), std::span(bytes).first(8)).error().kind,
            berth::kind::disconnected);
}

TEST(packet_socket, a_peer_that_does_not_listen_costs_no_more_than_patience) {
  auto pair = make_packet_pair().value();
  const std::vector<std::byte> bytes(packet_bytes_max);
  auto sent = send_packet(pair.near.get(), bytes, {}, 10ms);
  for (int n = 0; n < 1000 && sent; ++n)
    sent = send_packet(pair.near.get(), bytes, {}, 10ms);
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().kind, berth::kind::timed_out);
}

TEST(packet_socket, descriptors_lost_to_a_full_table_are_an_error) {
  auto pair = make_packet_pair().value();
  const std::vector<std::byte> bytes(8);
  auto pipe = make_pipe().value();
  ASSERT_TRUE(send_packet(pair.near.get(), bytes, std::vector<int>(8, pipe.read.get())));
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const rlimit tight{static_cast<rlim_t>(pipe.write.get()) + 3, before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &tight);
  const auto got = receive_packet(pair.far.get(), 5s);
  ::setrlimit(RLIMIT_NOFILE, &before);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, "descriptors_lost");
}

}  // namespace
