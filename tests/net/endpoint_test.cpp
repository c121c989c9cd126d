#include "runtime/net/endpoint.hpp"

#include "runtime/net/blocking.hpp"
#include "runtime/net/preamble.hpp"
#include "runtime/net/socket_address.hpp"
#include "tests/net/pair.hpp"
#include "tests/net/stranger.hpp"

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <poll.h>
#include <random>
#include <stdlib.h>
#include <string>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace berth::net::testing {
namespace {

/// A folder of its own, gone with the test.
class folder {
 public:
  folder() {
    std::string name = (std::filesystem::temp_directory_path() / "berth-net-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }

  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;

  ~folder() { std::filesystem::remove_all(path); }

  std::filesystem::path path;
};

/// A node: a listener that gives control connections to a server and knows one worker, `w1`, the same server.
struct node {
  folder home;
  token secret{};
  pair both;  // its server serves; its own link is not used here
  std::unique_ptr<listener> listens;

  explicit node(std::function<void(listener::options&)> tune = {}) {
    const auto made = make_token((home.path / "token").string());
    EXPECT_TRUE(made);
    secret = *made;
    listener::options how;
    how.on_unix = unix_address{(home.path / "node.sock").string()};
    how.on_tcp = tcp_address{"127.0.0.1", 0, secret};
    if (tune) tune(how);
    auto started = listener::start(how, [this](accepted one) -> result<void> {
      const auto worker = one.target.worker_id();
      if (worker && *worker != "w1")
        return fail(kind::missing, "no_such_worker", "no worker " + std::string(*worker) + " here");
      both.serves->adopt(std::move(one));
      return {};
    });
    EXPECT_TRUE(started) << started.error().to_string();
    listens = *std::move(started);
  }

  [[nodiscard]] address local() const { return listens->addresses().at(0); }

  [[nodiscard]] tcp_address tcp() const {
    return std::get<tcp_address>(listens->addresses().at(1));
  }
};

TEST(listener, takes_callers_over_unix_and_tcp_to_control_and_to_a_worker) {
  node here;
  const auto control = connect(here.local(), target::control(), {});
  ASSERT_TRUE(control) << control.error().to_string();
  EXPECT_EQ((*control)->peer().lane, "ring");
  EXPECT_EQ((*control)->peer().pid, ::getpid());
  EXPECT_EQ(call(**control, "hello"), "hello");
  const auto worker = connect(here.tcp(), target::worker("w1"), {});
  ASSERT_TRUE(worker) << worker.error().to_string();
  EXPECT_EQ((*worker)->peer().lane, "tcp");
  EXPECT_EQ(call(**worker, "hello"), "hello");
}

TEST(listener, tells_the_caller_that_there_is_no_such_worker) {
  node here;
  const auto link = connect(here.local(), target::worker("w2"), {});
  ASSERT_FALSE(link);
  EXPECT_EQ(link.error().kind, kind::missing);
  EXPECT_EQ(link.error().code, "no_such_worker");
}

TEST(listener, refuses_a_wrong_token_over_tcp) {
  node here;
  auto where = here.tcp();
  where.secret[31] ^= std::byte{1};
  const auto link = connect(where, target::control(), {});
  ASSERT_FALSE(link);
  EXPECT_EQ(link.error().kind, kind::denied);
}

TEST(listener, refuses_addresses_that_need_tls_and_paths_that_are_too_long) {
  const auto never_called = [](accepted) -> result<void> { return {}; };
  listener::options how;
  how.on_tcp = tcp_address{"0.0.0.0", 0, {}};
  const auto open_to_all = listener::start(how, never_called);
  ASSERT_FALSE(open_to_all);
  EXPECT_EQ(open_to_all.error().kind, kind::invalid);
  EXPECT_NE(open_to_all.error().message.find("TLS"), std::string::npos);
  how.on_tcp.reset();
  how.on_unix = unix_address{"/tmp/" + std::string(200, 'x')};
  const auto long_path = listener::start(how, never_called);
  ASSERT_FALSE(long_path);
  EXPECT_EQ(long_path.error().code, "path_too_long");
}

TEST(listener, refuses_a_port_or_path_in_use_and_takes_over_what_a_dead_process_left) {
  node here;
  const auto never_called = [](accepted) -> result<void> { return {}; };
  listener::options again;
  again.on_unix = std::get<unix_address>(here.local());
  const auto same_path = listener::start(again, never_called);
  ASSERT_FALSE(same_path);
  EXPECT_EQ(same_path.error().kind, kind::conflict);
  listener::options port;
  port.on_tcp = here.tcp();
  const auto same_port = listener::start(port, never_called);
  ASSERT_FALSE(same_port);
  EXPECT_EQ(same_port.error().kind, kind::conflict);

  const auto left = (here.home.path / "left.sock").string();
  {
    const base::unique_fd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto at = socket_address::of(unix_address{left});
    ASSERT_EQ(::bind(dead.get(), at->raw(), at->size()), 0);
  }
  ASSERT_TRUE(std::filesystem::exists(left));
  again.on_unix = unix_address{left};
  EXPECT_TRUE(listener::start(again, never_called));
  EXPECT_FALSE(std::filesystem::exists(left));
}

TEST(listener, says_that_nobody_listens) {
  const folder home;
  const auto link =
      connect(unix_address{(home.path / "none.sock").string()}, target::control(), {});
  ASSERT_FALSE(link);
  EXPECT_EQ(link.error().kind, kind::disconnected);
}

base::unique_fd plain_connection(const address& where) {
  const auto at = socket_address::of(where);
  base::unique_fd socket(::socket(at->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(socket.get(), at->raw(), at->size()), 0);
  return socket;
}

TEST(listener, ends_connections_that_send_garbage_half_a_preamble_or_nothing) {
  node here([](listener::options& how) { how.preamble_max = 100ms; });
  const auto garbage = plain_connection(here.tcp());
  ASSERT_TRUE(
      send_all(garbage.get(), std::vector<std::byte>(preamble_bytes, std::byte{7}), {}, in(5s)));
  const auto half = plain_connection(here.tcp());
  ASSERT_TRUE(send_all(half.get(), std::vector<std::byte>(60), {}, in(5s)));
  const auto silent = plain_connection(here.local());
  EXPECT_TRUE(hung_up_within(garbage.get(), 10s));
  EXPECT_TRUE(hung_up_within(half.get(), 10s));
  EXPECT_TRUE(hung_up_within(silent.get(), 10s));
  EXPECT_TRUE(connect(here.local(), target::control(), {}));
}

TEST(listener, rests_without_spinning_when_too_many_are_half_open) {
  node here([](listener::options& how) {
    how.half_open_max = 4;
    how.preamble_max = 300ms;
  });
  std::vector<base::unique_fd> silent;
  for (int i = 0; i < 20; ++i)
    silent.push_back(plain_connection(here.local()));
  const auto cpu = std::clock();
  const auto link = connect(here.local(), target::control(), {});  // waits in the kernel's queue
  EXPECT_TRUE(link) << link.error().to_string();
  EXPECT_LT(std::clock() - cpu, CLOCKS_PER_SEC);
}

TEST(listener, rests_without_spinning_when_it_may_open_no_more) {
  node here;
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  std::vector<base::unique_fd> waiting;
  for (int i = 0; i < 3; ++i) {
    const auto at = socket_address::of(here.local());
    waiting.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  }
  const rlimit none{static_cast<rlim_t>(waiting.back().get()) + 1, before.rlim_max};
  std::vector<base::unique_fd> fill;  // every descriptor below the limit is taken
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  for (int fd = ::dup(0); fd >= 0; fd = ::dup(0))
    fill.emplace_back(fd);
  const auto cpu = std::clock();
  const auto at = socket_address::of(here.local());
  for (auto& one : waiting)
    EXPECT_EQ(::connect(one.get(), at->raw(), at->size()), 0);
  EXPECT_FALSE(hung_up_within(waiting[0].get(), 300ms));
  EXPECT_LT(std::clock() - cpu, CLOCKS_PER_SEC / 5);
  fill.clear();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(connect(here.local(), target::control(), {}));
}

TEST(token, is_made_once_readable_by_its_owner_only_and_reads_back) {
  const folder home;
  const auto path = (home.path / "token").string();
  const auto made = make_token(path);
  ASSERT_TRUE(made);

  struct stat facts {};

  ASSERT_EQ(::stat(path.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777U, 0600U);
  EXPECT_EQ(*read_token(path), *made);
  EXPECT_EQ(make_token(path).error().kind, kind::conflict);
  ::chmod(path.c_str(), 0644);
  EXPECT_EQ(read_token(path).error().kind, kind::denied);
  EXPECT_EQ(read_token((home.path / "none").string()).error().kind, kind::missing);
  ::chmod(path.c_str(), 0600);
  std::ofstream(path) << "not a token";
  EXPECT_EQ(read_token(path).error().kind, kind::invalid);
}

TEST(preamble, reads_back_and_refuses_every_damaged_byte_of_its_head) {
  const preamble_facts facts{target::worker("w-17"), {}};
  const auto bytes = encode(facts);
  ASSERT_TRUE(bytes);
  EXPECT_EQ(decode(*bytes)->to, facts.to);
  for (std::size_t i = 0; i < 12; ++i) {
    auto damaged = *bytes;
    damaged[i] ^= std::byte{0x40};
    EXPECT_FALSE(decode(damaged)) << i;
  }
  EXPECT_FALSE(encode(preamble_facts{target::worker(std::string(60, 'x')), {}}));
}

TEST(hand_over, brings_a_socket_and_its_facts_to_another_process) {
  auto channel = make_sockets(over::unix_socket);
  auto carried = make_sockets(over::unix_socket);
  accepted one;
  one.socket = std::move(carried.server);
  one.target = target::worker("w1");
  one.pid = 42;
  one.uid = 1000;
  ASSERT_TRUE(hand_over(channel.caller.get(), one, 5s));
  one.socket.reset();
  const auto got = take_over(channel.server.get(), 5s);
  ASSERT_TRUE(got) << got.error().to_string();
  EXPECT_EQ(got->target, one.target);
  EXPECT_EQ(got->pid, 42);
  EXPECT_EQ(got->uid, 1000);
  ASSERT_TRUE(send_all(carried.caller.get(), bytes_of("x"), {}, in(5s)));
  std::array<std::byte, 1> byte{};
  EXPECT_TRUE(receive_all(got->socket.get(), byte, nullptr, 0, in(5s)));
  EXPECT_EQ(take_over(channel.server.get(), 20ms).error().kind, kind::timed_out);
}

}  // namespace
}  // namespace berth::net::testing
