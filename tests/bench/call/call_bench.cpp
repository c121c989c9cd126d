// The figures of small calls: typed handle, worker with ledger, gate, counters and log capture, as a user gets them,
// against the bare floors of tests/bench/floor.

#include "tests/bench/call/sent.hpp"
#include "tests/bench/support/system_calls.hpp"

#include <atomic>
#include <cstddef>
#include <sys/prctl.h>
#include <unistd.h>

namespace {

std::atomic<long> allocations{0};

}  // namespace

extern "C" void* __libc_malloc(std::size_t bytes);

/// Counts, then does what the C library's does.
extern "C" void* malloc(std::size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(bytes);
}

namespace berth::bench {
namespace {

// What `add` tells about the process it runs in, for these first arguments.
constexpr double ask_pid = -1e300;
constexpr double ask_allocations = -2e300;
constexpr double ask_to_be_traced = -3e300;

double add(double a, double b) {
  if (a == ask_pid) return ::getpid();
  if (a == ask_allocations) return static_cast<double>(allocations.load());
  if (a == ask_to_be_traced) {
    ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    return ::gettid();
  }
  return a + b;
}

using adding = function<double(double, double)>;

/// The cluster, one worker that adds, and a floor of each kind beside it.
class call_figures {
 public:
  explicit call_figures(const settings& how)
      : rows_(how, "call", "synchronous call of two small arguments"),
        in_flight_(how, "call", "async call of two small arguments"),
        f_(lab_.rt().on("local").send<&add>()) {
    expect(f_(1, 2) == 3, "the worker cannot add");
  }

  void run() {
    const auto call = [&] { f_(1, 2); };
    if (rows_.wants(".sync.ring")) print(rows_.sync_ring(call));
    if (rows_.wants(".paced.ring"))
      for (const auto& r : rows_.paced_ring(static_cast<pid_t>(f_(ask_pid, 0)), call))
        print(r);
    if (rows_.wants(".busy.ring")) print(rows_.busy_ring(call));
    if (rows_.wants(".sync.tcp")) tcp();
    if (rows_.wants(".async.ring"))
      for (const auto& r : in_flight_.async_ring([&](int calls) { return window(calls); }))
        print(r);
    if (rows_.wants(".four.ring")) four();
    if (rows_.wants(".allocations")) allocates();
    if (rows_.wants(".system_calls")) makes_system_calls();
  }

 private:
  void tcp() {
    const auto rt = connect_over_tcp(lab_);
    const auto name = lab_.rt().on("local").send<&add>().publish("bench/add@tcp", "over TCP").name;
    const adding f = rt.function<double(double, double)>(name + "@tcp");
    print(rows_.sync_tcp([&] { f(1, 2); }));
  }

  double window(int calls) {
    std::vector<future<double>> under_way(1000);
    const double from = now_s();
    for (int i = 0; i < calls; ++i) {
      auto& one = under_way[static_cast<std::size_t>(i) % under_way.size()];
      if (one.valid()) expect(one.get() == 3, "a wrong sum");
      one = f_.async(1, 2);
    }
    for (auto& one : under_way)
      if (one.valid()) one.get();
    return calls / (now_s() - from);
  }

  /// Both sides count: the worker is this program too.
  void allocates() {
    row r = row_of("call.allocations",
                   "allocations in 100,000 synchronous ring calls, both processes", "", "<= 0");
    for (int i = 0; i < 1000; ++i)
      f_(1, 2);
    const double before = f_(ask_allocations, 0);
    const long here = allocations.load();
    for (int i = 0; i < 100'000; ++i)
      f_(1, 2);
    const double calling = static_cast<double>(allocations.load() - here);
    const double serving = f_(ask_allocations, 0) - before;
    r.ours = r.judged = calling + serving;
    r.note = std::to_string(static_cast<long>(calling)) + " in the calling, "
             + std::to_string(static_cast<long>(serving)) + " in the serving process";
    r.rounds = 1;
    print(r);
  }

  /// Of the calling and the serving thread, for each wait that spun in vain and went to sleep.
  void makes_system_calls() {
    row r =
        row_of("call.system_calls",
               "system calls in 10^6 synchronous ring calls, for each wait that slept", "", "<= 4");
    ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    const int calls = rows_.tight_calls() * 10;
    const auto serving = static_cast<pid_t>(f_(ask_to_be_traced, 0));
    system_call_counter counter({::gettid(), serving});
    for (int i = 0; i < calls; ++i)
      f_(1, 2);
    const bool works = counter.works();
    const auto seen = counter.stop();
    r.is_absent = !works;
    r.ours = static_cast<double>(seen.calls);
    r.judged = seen.sleeps == 0 ? r.ours : r.ours / static_cast<double>(seen.sleeps);
    r.rounds = 1;
    r.is_void = seen.sleeps > calls / 100;
    r.note = works ? std::to_string(seen.sleeps) + " sleeps in " + std::to_string(calls) + " calls"
                   : "tracing is not allowed here";
    print(r);
  }

  void four() {
    const auto name =
        lab_.rt().on("local").send<&add>().publish("bench/add@four", "four clients").name;
    const auto folder = lab_.rt().runtime_folder();
    print(rows_.four_ring([&] {
      return [&](int, int calls) {
        // Of this client process, and ends with it.
        static const auto* f =
            new adding(connect(folder).function<double(double, double)>(name + "@four"));
        for (int i = 0; i < calls; ++i)
          (*f)(1, 2);
      };
    }));
  }

  const call_rows rows_;
  const call_rows in_flight_;
  testing::cluster lab_;
  adding f_;
};

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) {
  berth::bench::call_figures(berth::bench::read_settings(argc, argv)).run();
  return 0;
}
