#include "runtime/process/child.hpp"

#include "runtime/process/lifeline.hpp"
#include "tests/support/child.hpp"

#include <csignal>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace {

using namespace berth::process;  // NOLINT: the unit under test
using namespace berth::tests;    // NOLINT
using namespace std::chrono_literals;

const std::string helper = BERTH_PROCESS_HELPER;

TEST(child, starts_with_clean_signals_only_its_descriptors_and_a_group_of_its_own) {
  sigset_t some;
  sigemptyset(&some);
  sigaddset(&some, SIGTERM);
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, &some, &before);
  const auto old = ::signal(SIGUSR1, SIG_IGN);
  const berth::base::unique_fd leaked(::open("/dev/null", O_RDONLY));  // not closed on exec
  auto out = make_pipe().value();
  command what;
  what.argv = {helper, "inventory"};
  what.env = own_environment();
  what.out = out.write.get();
  what.descriptors = {leaked.get(), out.write.get()};
  what.cwd = "/usr";
  auto one = start(what).value();
  out.write.reset();
  EXPECT_EQ(read_all(out.read.get(), 5s), "blocked=0 ignored=0 open=0,1,2,3,4, group=1 cwd=/usr\n");
  EXPECT_EQ(one.wait(5s)->number, 0);
  ::signal(SIGUSR1, old);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST(child, tells_exit_codes_and_signals) {
  auto left = start_child({helper, "leave", "3"});
  const auto pid = left.pid();
  EXPECT_EQ(left.wait(5s), (death{pid, death::way::exited, 3, false}));
  EXPECT_EQ(left.pid(), -1);
  auto killed = start_child({helper, "leave-never"});
  EXPECT_EQ(killed.wait(5s)->number, 100);
  auto line = make_pipe().value();
  auto waits = start_child({helper, "wait"}, {line.read.get()}, {{lifeline_variable, "3"}});
  EXPECT_FALSE(waits.wait(1ms));
  EXPECT_FALSE(waits.reap());
  waits.kill_group();
  const auto how = waits.wait(5s).value();
  EXPECT_EQ(how.number, SIGKILL);
  EXPECT_EQ(to_string(how), "ended by SIGKILL");
}

TEST(child, a_program_that_is_not_there_is_an_error_that_says_so) {
  command what;
  what.argv = {"/no/such/program"};
  EXPECT_EQ(start(what).error().kind, berth::kind::missing);
  what.argv = {"/etc/passwd"};
  EXPECT_EQ(start(what).error().kind, berth::kind::denied);
  what.argv = {helper};
  what.cwd = "/no/such/folder";
  EXPECT_NE(start(what).error().message.find("/no/such/folder"), std::string::npos);
  EXPECT_EQ(start({}).error().kind, berth::kind::invalid);
}

TEST(child, the_thread_that_started_it_may_end) {
  auto line = make_pipe().value();
  child one;
  std::thread([&] {
    one = start_child({helper, "wait"}, {line.read.get()}, {{lifeline_variable, "3"}});
  }).join();
  EXPECT_FALSE(one.wait(50ms)) << "a child must not follow the thread that forked it";
  line.write.reset();
  EXPECT_EQ(one.wait(2s)->number, SIGKILL) << "the lifeline is what ends it";
}

TEST(child, is_killed_with_its_group_also_when_a_grandchild_holds_its_socket) {
  auto line = make_pipe().value();
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const berth::base::unique_fd near(ends[0]);
  berth::base::unique_fd far(ends[1]);
  auto one =
      start_child({helper, "family"}, {line.read.get(), far.get()}, {{lifeline_variable, "3"}});
  far.reset();
  const auto text = read_line(near.get(), 5s);
  const pid_t in_group = std::stoi(text);
  const pid_t escaped = std::stoi(text.substr(text.find(' ')));
  EXPECT_TRUE(alive(in_group));
  one.signal(SIGKILL);  // the leader alone, as a crash does
  EXPECT_TRUE(one.wait(2s));
  EXPECT_TRUE(await_gone(in_group, 2s)) << "the group ends when its leader is reaped";
  // Who left the group is the supervisor's to find (supervisor_test); here it is ours.
  ::kill(escaped, SIGKILL);
  EXPECT_TRUE(await_gone(escaped, 2s));
}

TEST(lifeline, ends_a_process_that_closed_all_its_descriptors) {
  auto line = make_pipe().value();
  auto out = make_pipe().value();
  command what;
  what.argv = {helper, "close-all"};
  what.env = own_environment();
  set_variable(what.env, lifeline_variable, "3");
  what.out = out.write.get();
  what.descriptors = {line.read.get()};
  auto one = start(what).value();
  ASSERT_EQ(read_line(out.read.get(), 5s), "ready");
  line.write.reset();
  EXPECT_TRUE(one.wait(2s));
}

TEST(lifeline, a_stopped_process_ends_when_it_goes_on) {
  auto line = make_pipe().value();
  auto one = start_child({helper, "wait"}, {line.read.get()}, {{lifeline_variable, "3"}});
  one.signal(SIGSTOP);
  ASSERT_TRUE(await(5s, [&] { return state_of(one.pid()) == 'T'; }));
  line.write.reset();
  EXPECT_FALSE(one.wait(50ms));
  one.signal(SIGCONT);
  EXPECT_TRUE(one.wait(2s));
}

TEST(child, no_descriptor_is_left_after_many) {
  const auto before = open_descriptors();
  for (int n = 0; n < 50; ++n) {
    auto line = make_pipe().value();
    auto one = start_child({helper, "leave", "0"}, {line.read.get()});
    EXPECT_TRUE(one.wait(5s));
    (void)start_child({helper, "leave", "0"});  // dropped at once
  }
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
