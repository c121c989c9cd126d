#include "runtime/process/supervisor.hpp"

#include "runtime/process/cluster_launch.hpp"
#include "runtime/process/folder_lock.hpp"
#include "runtime/process/lifeline.hpp"
#include "runtime/process/service_notify.hpp"
#include "tests/support/child.hpp"
#include "tests/support/temp_folder.hpp"

#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

using namespace berth::process;  // NOLINT: the unit under test
using namespace berth::tests;    // NOLINT
using namespace std::chrono_literals;

const std::string helper = BERTH_PROCESS_HELPER;
const std::string program = BERTH_SUPERVISOR;

launch_options options_in(const std::filesystem::path& folder, std::vector<std::string> head) {
  ::setenv("BERTH_TEST_MARK", folder.c_str(), 1);  // see processes_of
  launch_options options;
  options.how = launch_options::mode::embedded;
  options.supervisor = program;
  options.head = {helper, "head"};
  options.head.insert(options.head.end(), head.begin(), head.end());
  options.runtime = folder / "run";
  options.state = folder / "state";
  options.drain = 500ms;
  return options;
}

// A cluster in a folder of its own; what the head says is read from the cluster's file.
struct cluster {
  explicit cluster(std::vector<std::string> head)
      : running(launch(options_in(folder.path(), std::move(head))).value()) {}

  [[nodiscard]] std::string fact(const std::string& key) const {
    auto state = read_cluster_state(folder.path() / "run");
    return state ? state->facts[key] : "";
  }

  [[nodiscard]] bool await_fact(const std::string& key, const std::string& value) const {
    return await(10s, [&] { return fact(key) == value; });
  }

  temp_folder folder;
  running_cluster running;
};

// Processes whose environment has the mark of this folder: whatever a cluster in it started, wherever it went.
std::vector<pid_t> processes_of(const std::filesystem::path& folder) {
  std::vector<pid_t> all;
  for (const auto& one : std::filesystem::directory_iterator("/proc")) {
    const auto name = one.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream in(one.path() / "environ", std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    if (text.find("BERTH_TEST_MARK=" + folder.string()) != std::string::npos)
      all.push_back(std::stoi(name));
  }
  return all;
}

TEST(supervisor, starts_a_head_and_describes_the_running_cluster) {
  cluster one({});
  const auto& state = one.running.state();
  EXPECT_TRUE(alive(state.supervisor));
  EXPECT_TRUE(alive(state.head));
  EXPECT_TRUE(state.embedded);
  EXPECT_EQ(state.facts.at("incarnation"), "1");

  struct stat facts {};

  ASSERT_EQ(::stat((one.folder.path() / "run").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0700U);
  ASSERT_EQ(::stat(cluster_file(one.folder.path() / "run").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600U);
  ASSERT_TRUE(one.running.stop());
  EXPECT_FALSE(alive(state.head));
  EXPECT_EQ(read_cluster_state(one.folder.path() / "run").error().kind, berth::kind::missing);
}

TEST(supervisor, tells_the_head_how_each_worker_ended) {
  cluster crashed({"worker:leave 3"});
  EXPECT_TRUE(crashed.await_fact("ended", "ended with exit code 3")) << crashed.fact("ended");
  cluster asked({"worker:wait", "stop-workers"});
  EXPECT_TRUE(asked.await_fact("ended", "ended by SIGKILL as asked")) << asked.fact("ended");
  cluster absent({"worker:absent"});
  EXPECT_TRUE(absent.await_fact("refused", "no_such_program"));
}

TEST(supervisor, starts_a_dead_head_again_and_its_workers_end_with_it) {
  cluster one({"worker:wait"});
  ASSERT_TRUE(await(10s, [&] { return !one.fact("started").empty(); }));
  const pid_t worker = std::stoi(one.fact("started"));
  ::kill(one.running.state().head, SIGKILL);
  EXPECT_TRUE(one.await_fact("incarnation", "2"));
  EXPECT_FALSE(alive(worker));
  EXPECT_EQ(one.fact("earlier"), "1") << "the death no head heard of";
  const auto state = read_cluster_state(one.folder.path() / "run").value();
  EXPECT_NE(state.head, one.running.state().head);
  EXPECT_EQ(state.supervisor, one.running.state().supervisor);
}

TEST(supervisor, gives_up_on_a_head_that_dies_again_and_again) {
  cluster one({});
  for (int n = 1; n <= 6; ++n) {
    ASSERT_TRUE(one.await_fact("incarnation", std::to_string(n)));
    ::kill(read_cluster_state(one.folder.path() / "run").value().head, SIGKILL);
  }
  EXPECT_TRUE(await_gone(one.running.state().supervisor, 5s));
  EXPECT_TRUE(processes_of(one.folder.path()).empty());
}

TEST(supervisor, kill_9_of_it_ends_everything_within_two_seconds) {
  cluster one({"worker:wait", "worker:wait", "worker:family"});
  ASSERT_TRUE(await(10s, [&] { return !one.fact("family").empty(); }));
  ASSERT_EQ(processes_of(one.folder.path()).size(), 7U)
      << "supervisor, head, three workers, two grandchildren";
  const pid_t stopped = std::stoi(one.fact("started"));
  ::kill(stopped, SIGSTOP);
  ASSERT_TRUE(await(5s, [&] { return state_of(stopped) == 'T'; }));
  ::kill(one.running.state().supervisor, SIGKILL);
  EXPECT_TRUE(await(2s, [&] { return processes_of(one.folder.path()).empty(); }))
      << processes_of(one.folder.path()).size() << " processes are left";
  EXPECT_EQ(read_cluster_state(one.folder.path() / "run").error().kind, berth::kind::disconnected);
  // The folder is free at once, and what was left in it is cleared away.
  auto again = launch(options_in(one.folder.path(), {}));
  ASSERT_TRUE(again) << again.error().to_string();
}

TEST(supervisor, a_stop_reaches_processes_that_left_their_workers_group) {
  auto one = std::make_unique<cluster>(std::vector<std::string>{"worker:family"});
  ASSERT_TRUE(await(10s, [&] { return !one->fact("family").empty(); }));
  const auto pids = one->fact("family");
  const pid_t in_group = std::stoi(pids);
  const pid_t escaped = std::stoi(pids.substr(pids.find(' ')));
  EXPECT_TRUE(alive(in_group));
  EXPECT_TRUE(alive(escaped));
  ASSERT_TRUE(one->running.stop());
  EXPECT_FALSE(alive(in_group));
  EXPECT_FALSE(alive(escaped));
}

TEST(supervisor, a_head_that_does_not_end_is_killed_after_the_drain) {
  cluster one({"stubborn"});
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_TRUE(one.running.stop());
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 500ms);
  EXPECT_FALSE(alive(one.running.state().head));
}

TEST(supervisor, a_second_signal_cuts_the_drain_short_a_first_does_not) {
  const temp_folder folder;
  auto options =
      options_in(folder.path(), {"stubborn", "asks-to-end"});  // the head asks first, for 300 ms
  options.drain = 60s;
  auto one = launch(options).value();
  const auto begun = std::chrono::steady_clock::now();
  ASSERT_TRUE(await(10s, [&] {
    std::ifstream log(options.state / "cluster.log");
    const std::string text{std::istreambuf_iterator<char>(log), {}};
    return text.find("stopping: asked by the head") != std::string::npos;
  }));
  ::kill(one.state().supervisor, SIGTERM);
  EXPECT_TRUE(await_gone(one.state().supervisor, 20s)) << "the head's own drain and a second";
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 300ms);
  options.head = {helper, "head", "stubborn"};
  auto other = launch(options).value();
  ::kill(other.state().supervisor, SIGINT);
  EXPECT_FALSE(await_gone(other.state().supervisor, 100ms));
  ::kill(other.state().supervisor, SIGINT);
  EXPECT_TRUE(await_gone(other.state().supervisor, 10s));
}

TEST(supervisor, a_head_that_cannot_start_is_an_error_with_its_last_words) {
  const temp_folder folder;
  const auto begun = std::chrono::steady_clock::now();
  auto failed = launch(options_in(folder.path(), {"die-at-start"}));
  ASSERT_FALSE(failed);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
  EXPECT_NE(failed.error().message.find("exit code 7"), std::string::npos)
      << failed.error().message;
  EXPECT_NE(failed.error().message.find("the head says why"), std::string::npos);
  auto options = options_in(folder.path(), {});
  options.head = {"/no/such/head"};
  EXPECT_EQ(launch(options).error().kind, berth::kind::missing);
  options.supervisor = "/no/such/supervisor";
  EXPECT_EQ(launch(options).error().kind, berth::kind::missing);
  options = options_in(folder.path(), {"mute"});
  options.patience = 100ms;
  EXPECT_EQ(launch(options).error().kind, berth::kind::timed_out);
  EXPECT_TRUE(processes_of(folder.path()).empty());
}

TEST(supervisor, a_folder_in_use_and_a_path_too_long_are_refused) {
  cluster one({});
  const auto begun = std::chrono::steady_clock::now();
  auto second = launch(options_in(one.folder.path(), {}));
  ASSERT_FALSE(second);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 2s) << "nothing to wait for";
  EXPECT_EQ(second.error().kind, berth::kind::conflict);
  EXPECT_NE(second.error().message.find(std::to_string(one.running.state().supervisor)),
            std::string::npos)
      << second.error().message;
  auto options = options_in(one.folder.path(), {});
  options.runtime = one.folder.path() / std::string(100, 'x');
  EXPECT_EQ(launch(options).error().kind, berth::kind::invalid);
}

TEST(supervisor, leftovers_are_cleared_away_and_files_of_others_are_not) {
  const temp_folder folder;
  auto options = options_in(folder.path(), {});
  std::filesystem::create_directories(options.runtime);
  ::chmod(options.runtime.c_str(), 0700);
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  std::snprintf(at.sun_path, sizeof at.sun_path, "%s/node.sock", options.runtime.c_str());
  const berth::base::unique_fd stale(::socket(AF_UNIX, SOCK_STREAM, 0));
  ASSERT_EQ(::bind(stale.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  std::ofstream(options.runtime / "notes.txt") << "mine";
  auto running = launch(options).value();
  EXPECT_FALSE(std::filesystem::exists(options.runtime / "node.sock"));
  EXPECT_TRUE(running.stop());
  EXPECT_TRUE(std::filesystem::exists(options.runtime / "notes.txt"));
}

TEST(supervisor, a_daemon_goes_on_after_its_starter_and_is_stopped_by_who_finds_it) {
  const temp_folder folder;
  auto options = options_in(folder.path(), {});
  options.how = launch_options::mode::daemon;
  pid_t supervisor = 0;
  {
    auto running = launch(options).value();
    supervisor = running.state().supervisor;
    EXPECT_FALSE(running.state().embedded);
  }
  EXPECT_TRUE(alive(supervisor));
  const auto found = read_cluster_state(options.runtime).value();
  EXPECT_EQ(found.supervisor, supervisor);
  EXPECT_TRUE(stop_cluster(found, 10s));
  EXPECT_FALSE(alive(supervisor));
  EXPECT_FALSE(alive(found.head));
}

// ---- embedded

struct embedding_program {
  explicit embedding_program(std::vector<std::string> more = {}) {
    auto out = make_pipe().value();
    command what;
    what.argv = {helper, "embed", program};
    what.argv.insert(what.argv.end(), more.begin(), more.end());
    what.env = own_environment();
    set_variable(what.env, "XDG_RUNTIME_DIR", root.path().string());
    what.out = out.write.get();
    process = start(what).value();
    out.write.reset();
    std::istringstream(read_line(out.read.get(), 20s)) >> supervisor >> head >> runtime;
  }

  temp_folder root;
  child process;
  pid_t supervisor = 0;
  pid_t head = 0;
  std::string runtime;
};

TEST(embedded, ends_with_its_program_and_leaves_no_folder) {
  embedding_program killed;
  ASSERT_GT(killed.supervisor, 0);
  killed.process.signal(SIGKILL);
  EXPECT_TRUE(await_gone(killed.supervisor, 2s));
  EXPECT_TRUE(await_gone(killed.head, 2s));
  EXPECT_FALSE(std::filesystem::exists(killed.runtime));
  embedding_program left({"leave"});
  EXPECT_TRUE(await_gone(left.supervisor, 2s));
  EXPECT_FALSE(std::filesystem::exists(left.runtime));
}

TEST(embedded, folders_of_clusters_killed_whole_are_swept_later) {
  embedding_program killed;
  ::kill(killed.supervisor, SIGKILL);
  ASSERT_TRUE(await_gone(killed.head, 2s));
  ASSERT_TRUE(std::filesystem::exists(killed.runtime));
  const timespec old[2]{{1, 0}, {1, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, killed.runtime.c_str(), old, 0), 0);
  ::setenv("XDG_RUNTIME_DIR", killed.root.path().c_str(), 1);
  launch_options options = options_in("", {});
  options.runtime.clear();
  options.state.clear();
  auto next = launch(options);
  ::unsetenv("XDG_RUNTIME_DIR");
  ASSERT_TRUE(next) << next.error().to_string();
  EXPECT_FALSE(std::filesystem::exists(killed.runtime));
  EXPECT_TRUE(std::filesystem::exists(next->state().runtime));
}

// ---- foreground

TEST(foreground, speaks_systemds_protocol_and_stops_on_a_signal) {
  const temp_folder folder;
  const auto options = options_in(folder.path(), {});
  const auto path = (folder.path() / "notify").string();
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  std::snprintf(at.sun_path, sizeof at.sun_path, "%s", path.c_str());
  const berth::base::unique_fd service(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(service.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  const auto next = [&] {
    char text[512] = {};
    pollfd one{service.get(), POLLIN, 0};
    if (::poll(&one, 1, 10'000) > 0) (void)!::recv(service.get(), text, sizeof text - 1, 0);
    return std::string(text);
  };
  auto one = start_child(foreground_command(options).value(), {}, {{"NOTIFY_SOCKET", path}});
  EXPECT_TRUE(next().starts_with("READY=1\n"));
  EXPECT_FALSE(read_cluster_state(options.runtime).value().embedded);
  one.signal(SIGINT);
  EXPECT_EQ(next(), "STOPPING=1");
  const auto end = one.wait(10s).value();  // systemd sends SIGTERM, a person Ctrl-C
  EXPECT_EQ(to_string(end), "ended with exit code 130");
  EXPECT_FALSE(service_notify("", "READY=1"));
  EXPECT_FALSE(service_notify("/no/such/socket", "READY=1"));
}

TEST(foreground, wrong_command_lines_are_refused_with_the_usage) {
  EXPECT_EQ(start_child({program}).wait(5s)->number, 2);
  EXPECT_EQ(start_child({program, "--runtime"}).wait(5s)->number, 2);
  EXPECT_EQ(start_child({program, "--drain-ms", "soon", "--", "x"}).wait(5s)->number, 2);
}

TEST(restart_budget, allows_five_within_the_window_and_forgets_what_lies_behind_it) {
  restart_budget budget(5, 60s);
  const restart_budget::time begin{};
  for (int n = 0; n < 5; ++n)
    EXPECT_TRUE(budget.take(begin + n * 1s));
  EXPECT_FALSE(budget.take(begin + 59s));
  EXPECT_TRUE(budget.take(begin + 60s));
  EXPECT_FALSE(budget.take(begin + 60s));
  EXPECT_TRUE(budget.take(begin + 61s));
}

}  // namespace
