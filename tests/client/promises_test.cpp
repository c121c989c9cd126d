// What a call promises, with workers that die, clients that go and versions that change: a real cluster, a real build.

#include "tests/client/fixtures/book.hpp"
#include "tests/support/temp_folder.hpp"

#include <atomic>
#include <berth/berth.hpp>
#include <berth/ship.hpp>
#include <berth/testing.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <signal.h>
#include <spawn.h>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <tuple>
#include <unistd.h>
#include <vector>

namespace berth::tests {
namespace {

using namespace std::chrono_literals;

const connection& rt() {
  static testing::cluster lab;
  return lab.rt();
}

/// Ships one export of the fixtures; their build is shared by the cache.
shipped ship_export(const std::string& symbol, ship_request how = {}) {
  how.sources = {PROMISES_FIXTURES "/promises.cpp"};
  how.flags.push_back("-O1");
  how.as = "p/" + symbol;
  how.symbol = symbol;
  if (how.tag.empty()) how.tag = "prod";
  return ship(rt(), how);
}

std::vector<std::string> lines_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::vector<std::string> all;
  for (std::string line; std::getline(in, line);)
    all.push_back(line);
  return all;
}

bool soon(const std::function<bool()>& holds) {
  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::yield();
  }
  return true;
}

// ---- at most one start

TEST(promises, an_idempotent_call_is_started_again_when_its_worker_died) {
  ship_export("retried");
  const auto f = rt().function<int(std::string, int)>("p/retried@prod");
  const temp_folder here;
  const auto file = here.path() / "starts";
  EXPECT_EQ(f.within(60s)(file, 4), 4);
  EXPECT_EQ(lines_of(file).size(), 4u);
  const auto other = here.path() / "others";
  const auto three = f.try_(other, 100);
  ASSERT_FALSE(three.has_value());
  EXPECT_EQ(three.error().kind, kind::outcome_unknown);
  EXPECT_EQ(lines_of(other).size(), 3u) << "without a deadline: three starts";
}

TEST(promises, a_call_that_is_not_idempotent_is_never_started_again) {
  ship_export("plain");
  const auto f = rt().function<int(std::string, int)>("p/plain@prod");
  const temp_folder here;
  const auto file = here.path() / "starts";
  const auto r = f.within(60s).try_(file, 2);
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(r.error().kind, kind::outcome_unknown);
  EXPECT_NE(r.error().to_string().find("SIGKILL"), std::string::npos) << r.error().to_string();
  EXPECT_EQ(lines_of(file).size(), 1u);
  EXPECT_EQ(f(file, 2), 2) << "the replica was replaced";
}

TEST(promises, however_workers_die_a_call_starts_at_most_once_and_ok_means_it_did) {
  ship_export("mark");
  const auto f = rt().function<std::string(std::string, std::string)>("p/mark@prod");
  const temp_folder here;
  const auto file = (here.path() / "marks").string();
  std::atomic<int> callers_left{3};
  std::mutex mutex;
  std::map<std::string, std::optional<kind>> outcomes;
  std::vector<std::thread> callers;
  for (int t = 0; t < 3; ++t)
    callers.emplace_back([&, t] {
      for (int i = 0; i < 150; ++i) {
        const auto line = std::to_string(t) + "/" + std::to_string(i);
        const auto r = f.try_(file, line);
        const std::lock_guard lock(mutex);
        outcomes[line] = r ? std::nullopt : std::optional(r.error().kind);
      }
      --callers_left;
    });
  int kills = 0;
  for (; kills < 3; ++kills) {
    const auto before = lines_of(file).size();
    if (!soon([&] { return callers_left == 0 || lines_of(file).size() > before + 50; })) break;
    if (callers_left == 0) break;
    const auto last = lines_of(file).back();
    ::kill(std::stoi(last.substr(last.find(' ') + 1)), SIGKILL);
  }
  for (auto& one : callers)
    one.join();
  EXPECT_GT(kills, 0);
  std::map<std::string, int> starts;
  for (const auto& line : lines_of(file))
    ++starts[line.substr(0, line.find(' '))];
  EXPECT_EQ(outcomes.size(), 450u);
  for (const auto& [line, outcome] : outcomes) {
    EXPECT_LE(starts[line], 1) << line;
    if (outcome)
      EXPECT_EQ(*outcome, kind::outcome_unknown) << line;
    else
      EXPECT_EQ(starts[line], 1) << line << " was answered and did not run";
  }
}

// ---- clients that go

TEST(promises, a_call_whose_client_is_killed_is_stopped) {
  ship_export("wait_for_stop");
  const temp_folder here;
  const auto file = here.path() / "seen";
  pid_t client = -1;
  const std::string folder = rt().runtime_folder();
  const char* const argv[] = {WAITING_CLIENT, folder.c_str(), file.c_str(), nullptr};
  ASSERT_EQ(
      ::posix_spawn(&client, argv[0], nullptr, nullptr, const_cast<char* const*>(argv), environ),
      0);
  EXPECT_TRUE(soon([&] { return !lines_of(file).empty(); })) << "the call never started";
  ::kill(client, SIGKILL);
  ::waitpid(client, nullptr, 0);
  ASSERT_TRUE(soon([&] { return lines_of(file).size() == 2; })) << "the function never stopped";
  EXPECT_EQ(lines_of(file).back(), "stopped");
}

// ---- classes, structs of handles

struct book_api {
  function<int()> pid;
  function<int(int)> add;
};

struct promises_api {
  function<int(std::string, int)> plain;
  function<std::string(std::string, std::string)> mark;
};

TEST(promises, a_class_is_constructed_once_a_replica_and_keeps_its_state) {
  const temp_folder here;
  const auto file = here.path() / "constructed";
  ship_request how;
  how.replicas = 2;
  how.with["file"] = bound(file.string());
  ship_export("book", how);
  const auto books = rt().service<book>("p/book@prod");
  std::vector<std::tuple<>> items(64);
  std::set<int> pids;
  for (auto& one : books.pid.with({.in_flight = 16}).map(items))
    pids.insert(one.value());
  EXPECT_EQ(pids.size(), 2u);
  EXPECT_EQ(lines_of(file).size(), 2u);
  const auto by_name = rt().bind<book_api>("p/book@prod");
  EXPECT_TRUE(pids.contains(by_name.pid()));
  const int first = by_name.add(1);
  EXPECT_LE(first + by_name.add(1) + by_name.add(1), 6)
      << "two replicas, each with a sum of its own";
  EXPECT_EQ(lines_of(file).size(), 2u);
}

TEST(promises, a_struct_of_handles_is_filled_with_the_functions_below_a_name) {
  ship_export("plain");
  ship_export("mark");
  const auto api = rt().bind<promises_api>("p");
  const temp_folder here;
  EXPECT_EQ(api.mark(here.path() / "marks", "x"), "x");
  EXPECT_EQ(api.plain(here.path() / "starts", 1), 1);
}

// ---- versions that change

struct person {
  std::string name;
};

struct greeting {
  std::string text;
};

TEST(promises, a_bound_caller_goes_on_across_an_evolved_version_and_a_breaking_one_is_refused) {
  const auto one = ship_export("greet");
  const auto f = rt().function<greeting(person)>("p/greet@prod");
  EXPECT_EQ(f({"ann"}).text, "hello ann");
  ship_request next;
  next.flags = {"-DPROMISES_VERSION=2"};
  const auto two = ship_export("greet", next);
  EXPECT_EQ(two.version, one.version + 1);
  const auto evolved = f.reply({"ann"});
  EXPECT_EQ(evolved.value.text, "good day dear ann");
  EXPECT_EQ(evolved.version, two.version);
  next.flags = {"-DPROMISES_VERSION=3"};
  try {
    ship_export("greet", next);
    FAIL() << "the flip breaks a bound caller";
  } catch (const error& e) {
    EXPECT_EQ(e.code(), "would_break") << e.what();
    EXPECT_NE(std::string(e.what()).find("promises"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("who"), std::string::npos) << e.what();
  }
  EXPECT_EQ(f({"bob"}).text, "good day dear bob") << "the old version serves on";
}

// ---- over TCP

/// What the cluster's file says under `key`.
std::string cluster_fact(const std::string& key) {
  for (const auto& line : lines_of(std::filesystem::path(rt().runtime_folder()) / "cluster"))
    if (line.starts_with(key + "=")) return line.substr(key.size() + 1);
  return {};
}

TEST(promises, a_client_with_the_token_calls_over_loopback_tcp_and_one_without_is_denied) {
  ship_export("mark");
  const temp_folder here;
  ::setenv("BERTH_TOKEN_FILE", cluster_fact("token").c_str(), 1);
  const auto far = connect(cluster_fact("address"));
  const auto f = far.function<std::string(std::string, std::string)>("p/mark@prod");
  EXPECT_EQ(f(here.path() / "marks", "over tcp"), "over tcp");
  const auto wrong = here.write("token", std::string(64, '0'));
  std::filesystem::permissions(wrong, std::filesystem::perms::owner_read);
  ::setenv("BERTH_TOKEN_FILE", wrong.c_str(), 1);
  try {
    (void)connect(cluster_fact("address"));
    FAIL() << "the token is wrong";
  } catch (const error& e) {
    EXPECT_EQ(e.kind(), kind::denied) << e.what();
  }
  ::unsetenv("BERTH_TOKEN_FILE");
}

TEST(promises, an_address_beyond_this_machine_is_refused_for_want_of_tls) {
  for (const char* address : {"10.0.0.1:7000", "tcp:192.168.1.1:7000", "0.0.0.0:7000"}) {
    try {
      (void)connect(address);
      FAIL() << address;
    } catch (const error& e) {
      EXPECT_EQ(e.kind(), kind::invalid) << e.what();
      EXPECT_NE(std::string(e.what()).find("TLS"), std::string::npos) << e.what();
    }
  }
}

}  // namespace
}  // namespace berth::tests
