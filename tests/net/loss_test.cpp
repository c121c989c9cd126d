// Peers in processes of their own that die, stop, fork or may not use shared memory.

#include "runtime/base/cpu.hpp"
#include "tests/net/pair.hpp"

#include <cstddef>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <string>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>

namespace berth::net::testing {
namespace {

/// A server in a child process that dies with the test.
class server_process {
 public:
  explicit server_process(std::function<void(scripted_handler&)> script, over lane = over::ring)
      : sockets_(make_sockets(lane)) {
    pid = ::fork();
    if (pid != 0) {
      sockets_.server.reset();
      return;
    }
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    sockets_.caller.reset();
    scripted_handler does;
    script(does);
    auto serves = server::start(does, {});
    accepted one;
    one.socket = std::move(sockets_.server);
    one.over_tcp = lane == over::tcp;
    (*serves)->adopt(std::move(one));
    for (;;)
      ::pause();
  }

  server_process(const server_process&) = delete;
  server_process& operator=(const server_process&) = delete;

  ~server_process() {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }

  std::unique_ptr<net::link> link(bool offers_ring = true) {
    connect_options how;
    how.offers_ring = offers_ring;
    auto made = connect_over(std::move(sockets_.caller), how);
    EXPECT_TRUE(made) << made.error().to_string();
    return *std::move(made);
  }

  /// Stops all its threads; returns when they have stopped.
  void stop() const {
    ::kill(pid, SIGSTOP);
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, WUNTRACED), pid);
  }

  pid_t pid = -1;

 private:
  socket_pair sockets_;
};

frame_header call_header() {
  frame_header header;
  header.kind = frame_kind::call;
  return header;
}

void begin(net::link& link, pending& slot, std::string_view body) {
  auto open = link.begin(slot, call_header(), body.size(), {}, in(10s));
  ASSERT_TRUE(open);
  std::memcpy(open.body(), body.data(), body.size());
  open.commit();
}

class every_lane : public ::testing::TestWithParam<over> {};

INSTANTIATE_TEST_SUITE_P(lanes,
                         every_lane,
                         ::testing::Values(over::ring, over::unix_socket, over::tcp),
                         [](const auto& with) { return name(with.param); });

TEST_P(every_lane, drains_the_results_of_a_killed_peer_before_it_fails_the_rest) {
  server_process peer(
      [](scripted_handler& does) {
        does.call = [](served_link& from, message_view what) {
          if (text_of(what.body) == "die") ::raise(SIGKILL);
          answer(from, what.header.call, what.body);
        };
      },
      GetParam());
  const auto link = peer.link(GetParam() == over::ring);
  std::vector<std::unique_ptr<pending>> slots;
  for (int i = 0; i < 10; ++i) {
    slots.push_back(std::make_unique<pending>());
    begin(*link, *slots.back(), i == 7 ? "die" : "live");
  }
  const auto begun = base::steady::now();
  for (int i = 0; i < 10; ++i) {
    const auto how = link->wait(*slots[static_cast<std::size_t>(i)], in(10s));
    EXPECT_EQ(how, i < 7 ? completion::answered : completion::lost) << i;
  }
  EXPECT_LT(base::steady::now() - begun, 5s);
  EXPECT_TRUE(link->closed());
  pending after;
  EXPECT_FALSE(link->begin(after, call_header(), 0));
  EXPECT_EQ(after.error().kind, kind::disconnected);
}

TEST_P(every_lane, wakes_every_waiting_thread_when_the_peer_is_killed) {
  server_process peer([](scripted_handler& does) { does.call = [](served_link&, message_view) {}; },
                      GetParam());
  const auto link = peer.link(GetParam() == over::ring);
  std::vector<std::thread> threads;
  std::atomic<int> begun{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      pending slot;
      begin(*link, slot, "x");
      ++begun;
      EXPECT_EQ(link->wait(slot, in(20s)), completion::lost);
    });
  while (begun < 4)
    std::this_thread::yield();
  ::kill(peer.pid, SIGKILL);
  for (auto& thread : threads)
    thread.join();
}

TEST_P(every_lane, ends_a_wait_for_a_stopped_peer_at_the_deadline_and_goes_on_when_it_continues) {
  server_process peer([](scripted_handler&) {}, GetParam());
  const auto link = peer.link(GetParam() == over::ring);
  EXPECT_EQ(call(*link, "before"), "before");
  peer.stop();
  for (int i = 0; i < 3; ++i) {
    pending slot;
    begin(*link, slot, "stopped");
    EXPECT_EQ(link->wait(slot, in(30ms)), completion::timed_out);
  }
  ::kill(peer.pid, SIGCONT);
  EXPECT_EQ(call(*link, "after"), "after");
  EXPECT_EQ(link->in_flight(), 0U);
}

TEST(ring_lane, refuses_a_stopped_peers_full_ring_instead_of_waiting_for_ever) {
  server_process peer([](scripted_handler&) {});
  const auto link = peer.link();
  EXPECT_EQ(call(*link, "before"), "before");
  peer.stop();
  std::vector<std::unique_ptr<pending>> slots;
  for (;;) {
    slots.push_back(std::make_unique<pending>());
    auto open = link->begin(*slots.back(), call_header(), 8000, {}, in(20ms));
    if (!open) break;
    open.commit();
    ASSERT_LT(slots.size(), 100U);
  }
  EXPECT_EQ(slots.back()->error().kind, kind::overloaded);
  ::kill(peer.pid, SIGCONT);
  slots.pop_back();
  for (auto& slot : slots)
    EXPECT_EQ(link->wait(*slot, in(10s)), completion::answered);
}

TEST(link, refuses_in_a_forked_child_and_goes_on_in_the_parent) {
  server_process peer([](scripted_handler&) {});
  auto link = peer.link();
  EXPECT_EQ(call(*link, "before"), "before");
  const pid_t child = ::fork();
  if (child == 0) {
    bool good = true;
    {
      pending slot;
      good = !link->begin(slot, call_header(), 8) && slot.error().kind == kind::invalid
             && slot.error().code == "forked";
    }
    link.reset();
    ::_exit(good ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(call(*link, "after"), "after");
}

/// Runs `body` in a child; expects it to return true.
void expect_in_child(const std::function<bool()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body() && !::testing::Test::HasFailure() ? 0 : 1);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

/// From now on memfd_create is refused in this process, as some sandboxes do.
bool deny_memory_files() {
  const sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{4, const_cast<sock_filter*>(rules)};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
         && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST(link, takes_the_unix_lane_and_says_why_where_memory_files_are_denied) {
  expect_in_child([] {
    if (!deny_memory_files()) return false;
    pair both;
    const std::string large(300'000, 'x');
    const auto payload = std::vector<std::byte>(200'000);
    base::external one;
    one.bytes = payload;
    pending slot;
    auto open = both.link->begin(slot, call_header(), 0, {&one, 1}, in(10s));
    if (!open) return false;
    open.commit();
    return both.link->wait(slot, in(10s)) == completion::answered
           && slot.answer().externals.size() == 1 && call(*both.link, large) == large
           && both.link->peer().lane == "unix"
           && both.link->peer().lane_reason.find("memfd_create") != std::string::npos;
  });
}

TEST(link, works_on_one_cpu_and_beside_busy_loops) {
  expect_in_child([] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(::sched_getcpu()), &one);
    if (::sched_setaffinity(0, sizeof one, &one) != 0) return false;
    std::atomic<bool> stop{false};
    std::thread hog([&] {
      while (!stop)
        base::relax();
    });
    bool good = true;
    {
      pair both;
      for (int i = 0; i < 200; ++i)
        good = good && call(*both.link, "x") == "x";
      good = good && both.link->statistics().rescues == 0;
    }
    stop = true;
    hog.join();
    return good;
  });
}

}  // namespace
}  // namespace berth::net::testing
