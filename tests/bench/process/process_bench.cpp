// What a cluster weighs and how long a worker takes to start: the absolute figures of the processes. They hold on an idle
// machine of two cores.

#include "tests/bench/support/scratch.hpp"
#include "tests/bench/support/settings.hpp"

#include <berth/berth.hpp>
#include <berth/ship.hpp>
#include <berth/testing.hpp>
#include <memory>
#include <optional>
#include <spawn.h>
#include <sys/wait.h>

namespace berth::bench {
namespace {

constexpr const char* source = R"(#include <berth/module.hpp>
int twice(int x) { return 2 * x; }
BERTH_EXPORT(&twice);
)";
constexpr const char* name = "bench/twice";

/// A cluster whose build cache is this program's own, and a module shipped to it.
class process_figures {
 public:
  explicit process_figures(const settings& how) : how_(how) {
    ::setenv("BERTH_CACHE_DIR", folder_.at("cache").c_str(), 1);
    source_ = folder_.write("twice.cpp", source);
    lab_ = std::make_unique<testing::cluster>();
  }

  void run() {
    if (how_.wants("process.memory.cluster") || how_.wants("process.memory.worker")) memory();
    if (how_.wants("process.idle")) idle();
    if (how_.wants("process.start")) starts();
  }

 private:
  /// A version of its own for each `round`: the same module, another environment.
  shipped ship_round(int round) {
    ship_request what;
    what.sources = {source_};
    what.as = name;
    what.variables = {"BENCH_ROUND=" + std::to_string(round)};
    what.why = "bench";
    return ship(lab_->rt(), what);
  }

  function<int(int)> ready() {
    if (!ready_) ready_ = ship_round(0).version;
    const auto f = lab_->rt().function<int(int)>(name);
    expect(f(21) == 42, "a wrong answer");
    return f;
  }

  void memory() {
    row cluster =
        row_of("process.memory.cluster", "supervisor and head, proportional memory", "MB", "<= 30");
    row worker = row_of("process.memory.worker",
                        "a worker with a small module, proportional memory", "MB", "<= 10");
    const auto f = ready();
    for (int i = 0; i < 1000; ++i)
      f(i);
    const auto supervisor = memory_of(descendants_called("berth-super").at(0));
    const auto head = memory_of(descendants_called("berthd").at(0));
    const auto one = memory_of(descendants_called("berth-worker").at(0));
    const auto words = [](const char* who, const memory_use& use) {
      char text[96];
      std::snprintf(text, sizeof text, "%s %.1f, its own pages %.1f", who, use.proportional,
                    use.own);
      return std::string(text);
    };
    judge_absolute(cluster, {supervisor.proportional + head.proportional});
    cluster.note = words("supervisor", supervisor) + "; " + words("head", head);
    judge_absolute(worker, {one.proportional});
    worker.note = words("worker", one);
    print(cluster);
    print(worker);
  }

  void idle() {
    row r = row_of("process.idle", "CPU of an idle cluster with one worker and one client, in 10 s",
                   "ms", "<= 20");
    const auto f = ready();
    std::vector<pid_t> pids;
    for (const auto& one : descendants())
      pids.push_back(one.pid);
    const auto used = [&] {
      double all = 0;
      for (const pid_t pid : pids)
        all += threads_cpu_s(pid);
      return all;
    };
    pause_us(2'000'000);  // what the start left to do is done
    const double before = used();
    const double seconds = how_.quick ? 2 : 10;
    pause_us(static_cast<long>(seconds * 1e6));
    judge_absolute(r, {(used() - before) * 1e3 * 10 / seconds});
    r.note = std::to_string(pids.size()) + " processes";
    print(r);
  }

  /// All versions but the newest have lost their last tag; returns when their workers have ended.
  void await_passive() {
    for (const double until = now_s() + 30; now_s() < until; pause_us(20'000))
      if (descendants_called("berth-worker").size() <= 1) return;
    expect(false, "workers of old versions did not end");
  }

  void starts() {
    row r = row_of("process.start", "worker start to first call, module present, above the floor",
                   "ms", "<= 40");
    std::vector<std::uint32_t> versions;
    const int tries = 6 * how_.rounds;  // a version starts once: afterwards it lingers
    for (int round = 1; round <= tries; ++round)
      versions.push_back(ship_round(round).version);
    ready_ = ship_round(tries + 1).version;
    await_passive();
    std::size_t next = 0;
    const auto module = only_module();
    take_pairs(
        r, how_.rounds, {}, [&] { return load_ms(module); },
        [&] {
          const auto version = versions.at(next++);
          const double from = now_s();
          const auto f = lab_->rt().function<int(int)>(name + ("@" + std::to_string(version)));
          expect(f(21) == 42, "a wrong answer");
          return (now_s() - from) * 1e3;
        },
        difference_of);
    r.note = "floor: fork, exec and dlopen alone; judged: what ours takes more";
    print(r);
  }

  [[nodiscard]] std::filesystem::path only_module() const {
    return std::filesystem::directory_iterator(folder_.at("cache/build/artifacts"))->path();
  }

  /// From fork to the byte that says the module is loaded.
  static double load_ms(const std::filesystem::path& module) {
    const auto program = (build_tree() / "bench/load_floor").string();
    const auto library = "LD_LIBRARY_PATH=" + (build_tree() / "lib").string();
    const char* argv[] = {program.c_str(), module.c_str(), nullptr};
    const char* environment[] = {library.c_str(), nullptr};
    int ends[2];
    expect(::pipe(ends) == 0, "no pipe");
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    pid_t pid = 0;
    const double from = now_s();
    expect(::posix_spawn(&pid, program.c_str(), &actions, nullptr, const_cast<char**>(argv),
                         const_cast<char**>(environment))
               == 0,
           "load_floor cannot be started");
    ::close(ends[1]);
    char said = 0;
    const bool loaded = ::read(ends[0], &said, 1) == 1;
    const double took = (now_s() - from) * 1e3;
    ::close(ends[0]);
    ::waitpid(pid, nullptr, 0);
    ::posix_spawn_file_actions_destroy(&actions);
    expect(loaded, "load_floor did not load the module");
    return took;
  }

  const settings how_;
  const scratch folder_;
  std::string source_;
  std::unique_ptr<testing::cluster> lab_;
  std::optional<std::uint32_t> ready_;
};

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) {
  berth::bench::process_figures(berth::bench::read_settings(argc, argv)).run();
  return 0;
}
