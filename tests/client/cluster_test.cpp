// The public surface against a real cluster: supervisor, head, workers, each a process. The test program is the module.

#include <atomic>
#include <berth/berth.hpp>
#include <berth/testing.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <gtest/gtest.h>
#include <iostream>
#include <map>
#include <mutex>
#include <signal.h>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <tuple>
#include <unistd.h>
#include <vector>

namespace berth::tests {
namespace {

using namespace std::chrono_literals;

int twice(int x) {
  return 2 * x;
}

int worker_pid() {
  return ::getpid();
}

int crash(int how) {
  std::printf("about to end in way %d\n", how);
  std::fflush(stdout);
  if (how == 1) std::abort();
  if (how == 2) ::_exit(3);
  if (how == 3) ::raise(SIGKILL);
  return how;
}

void speak(const std::string& word) {
  std::printf("out %s\n", word.c_str());
  std::cout << "cout " << word << std::endl;
  std::fprintf(stderr, "err %s\n", word.c_str());
}

stream<int> numbers(int end) {
  for (int i = 0; i < end; ++i)
    co_yield i;
}

int wait_ms(int ms) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
  while (std::chrono::steady_clock::now() < end && !here().stop_requested())
    std::this_thread::yield();
  return ms;
}

std::string who_calls() {
  return std::string(here().caller.version);
}

std::string ask_who_calls(const std::string& ref) {
  static const auto mine = connect();
  return mine.function<&who_calls>(ref)();
}

/// One cluster for all tests: starting one costs a tenth of a second.
const connection& rt() {
  static testing::cluster lab;
  return lab.rt();
}

place local() {
  return rt().on("local");
}

class heard final : public call_watcher {
 public:
  void on_output(std::string_view line, bool stderr_line) override {
    const std::lock_guard lock(mutex_);
    lines_.push_back((stderr_line ? "2:" : "1:") + std::string(line));
  }

  std::vector<std::string> lines() {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> lines_;
};

TEST(cluster, runs_the_programs_own_function_in_another_process) {
  const auto f = local().send<&worker_pid>();
  EXPECT_NE(f(), ::getpid());
  EXPECT_EQ(f(), f());
}

TEST(cluster, runs_a_captureless_lambda) {
  const auto f = local().send<[](int x) { return x + 1; }>();
  EXPECT_EQ(f(41), 42);
}

TEST(cluster, answers_by_name_once_published) {
  const auto sent = local().send<&twice>();
  const auto version = sent.publish("tests/twice@prod", "for a test");
  EXPECT_EQ(version.name, "tests/twice");
  const auto f = rt().function<&twice>("tests/twice@prod");
  EXPECT_EQ(f(21), 42);
  EXPECT_EQ(f.reply(1).version, version.version);
  EXPECT_TRUE(sent.publish("tests/twice@prod", "the very same").existed);
}

TEST(cluster, offers_the_nearest_name_for_an_unknown_one) {
  local().send<&twice>().publish("tests/nearest@prod", "for a test");
  try {
    (void)rt().function<&twice>("tests/neerest@prod");
    FAIL() << "there is no such name";
  } catch (const error& e) {
    EXPECT_EQ(e.kind(), kind::missing);
    EXPECT_NE(e.message().find("tests/nearest"), std::string::npos) << e.what();
  }
}

TEST(cluster, refuses_another_signature_and_prints_both) {
  local().send<&twice>().publish("tests/signed@prod", "for a test");
  try {
    (void)rt().function<std::string(std::string)>("tests/signed@prod");
    FAIL() << "the signatures differ";
  } catch (const error& e) {
    EXPECT_EQ(e.kind(), kind::invalid);
    EXPECT_NE(e.message().find("string"), std::string::npos) << e.what();
    EXPECT_NE(e.message().find("int"), std::string::npos) << e.what();
  }
}

TEST(cluster, brings_the_callees_output_to_the_caller_before_the_result) {
  const auto f = local().send<&speak>();
  heard ears;
  f.with({.watch = &ears})("hello");
  const auto lines = ears.lines();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0], "1:out hello");
  EXPECT_EQ(lines[1], "1:cout hello");
  EXPECT_EQ(lines[2], "2:err hello");
}

TEST(cluster, tells_how_a_worker_died_and_replaces_it) {
  const auto f = local().send<&crash>();
  EXPECT_EQ(f(0), 0);
  const auto aborted = f.try_(1);
  ASSERT_FALSE(aborted.has_value());
  EXPECT_EQ(aborted.error().kind, kind::outcome_unknown) << aborted.error().to_string();
  EXPECT_NE(aborted.error().to_string().find("SIGABRT"), std::string::npos)
      << aborted.error().to_string();
  EXPECT_NE(aborted.error().to_string().find("about to end in way 1"), std::string::npos)
      << aborted.error().to_string();
  EXPECT_EQ(f(0), 0) << "the replica was not replaced";
  const auto left = f.try_(2);
  ASSERT_FALSE(left.has_value());
  EXPECT_NE(left.error().to_string().find("exit code 3"), std::string::npos)
      << left.error().to_string();
  EXPECT_EQ(f(0), 0);
}

TEST(cluster, streams_from_another_process) {
  int next = 0;
  for (int n : local().send<&numbers>()(300)) {
    ASSERT_EQ(n, next);
    ++next;
  }
  EXPECT_EQ(next, 300);
}

TEST(cluster, moves_callers_from_version_to_version_without_a_failed_call) {
  const auto one =
      local().send<[](int x) { return x + 1000; }>().publish("tests/flips@prod", "one");
  const auto f = rt().function<int(int)>("tests/flips@prod");
  const auto two =
      local().send<[](int x) { return x + 2000; }>().publish("tests/flips@next", "two");
  ASSERT_NE(one.version, two.version);
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::atomic<int> calls{0};
  std::thread caller([&] {
    while (!stop) {
      const auto r = f.try_(1);
      if (!r || (*r != 1001 && *r != 2001)) ++wrong;
      ++calls;
    }
  });
  for (int i = 0; i < 10; ++i) {
    const auto to = i % 2 == 0 ? two.version : one.version;
    rt().tag("tests/flips@prod", {{to, 100}}, "back and forth");
    EXPECT_EQ(f(1), i % 2 == 0 ? 2001 : 1001) << "a call was answered by what left the tag";
  }
  rt().rollback("tests/flips@prod", "once more");
  EXPECT_EQ(f(1), 2001);
  stop = true;
  caller.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(calls, 0);
}

TEST(cluster, a_canary_gets_its_share_of_the_keys) {
  const auto one = local().send<[](int x) { return x + 1; }>().publish("tests/canary@prod", "one");
  const auto two = local().send<[](int x) { return x + 2; }>().publish("tests/canary@next", "two");
  const auto f = rt().function<int(int)>("tests/canary@prod");
  rt().tag("tests/canary@prod", {{one.version, 90}, {two.version, 10}}, "canary");
  int canaried = 0;
  for (int key = 0; key < 1000; ++key)
    canaried += f.with({.sticky = "row-" + std::to_string(key)})(0) == 2;
  EXPECT_NEAR(canaried, 100, 40);
}

TEST(cluster, handles_made_before_fork_refuse_in_the_child) {
  const auto f = local().send<&twice>();
  EXPECT_EQ(f(1), 2);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto r = f.try_(1);
    ::_exit(!r && r.error().kind == kind::invalid ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(f(2), 4) << "the parent's handle must go on";
}

TEST(cluster, a_deadline_ends_the_wait) {
  const auto f = local().send<&wait_ms>();
  EXPECT_EQ(f(1), 1);
  const auto begun = std::chrono::steady_clock::now();
  const auto r = f.within(50ms).try_(5000);
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(r.error().kind, kind::timed_out);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 2s);
  EXPECT_EQ(f(1), 1) << "the worker is free again: the function saw its stop flag";
}

TEST(cluster, a_worker_calls_on_by_name_and_is_known_by_its_version) {
  local().send<&who_calls>().publish("tests/who@prod", "for a test");
  const auto asks = local().send<&ask_who_calls>().publish("tests/asks@prod", "for a test");
  const auto f = rt().function<&ask_who_calls>("tests/asks@prod");
  EXPECT_EQ(f("tests/who@prod"), "tests/asks@" + std::to_string(asks.version));
}

TEST(cluster, several_replicas_share_the_items_of_a_map) {
  local().send<&worker_pid>().publish("tests/pids@prod", "for a test", 2);
  const auto f = rt().function<&worker_pid>("tests/pids@prod");
  std::vector<std::tuple<>> items(64);
  std::map<int, int> by_pid;
  for (auto& one : f.with({.in_flight = 16, .ordered = false}).map(items))
    ++by_pid[one.value()];
  EXPECT_EQ(by_pid.size(), 2u);
}

TEST(cluster, is_temporary_and_says_so) {
  EXPECT_TRUE(rt().embedded());
  EXPECT_FALSE(rt().runtime_folder().empty());
}

}  // namespace
}  // namespace berth::tests
