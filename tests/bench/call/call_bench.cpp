// The figures of small calls: typed handle, worker with ledger, gate, counters and log capture, as a user gets them,
// against the bare floors of tests/bench/floor.

#include "tests/bench/call/sent.hpp"

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>

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

double add(double a, double b) {
  if (a == ask_pid) return ::getpid();
  if (a == ask_allocations) return static_cast<double>(allocations.load());
  return a + b;
}

using adding = function<double(double, double)>;

/// The cluster, one worker that adds, and a floor of each kind beside it.
class call_figures {
 public:
  explicit call_figures(const settings& how) : how_(how), f_(lab_.rt().on("local").send<&add>()) {
    expect(f_(1, 2) == 3, "the worker cannot add");
  }

  void run() {
    if (how_.wants("call.sync.ring")) sync();
    if (how_.wants("call.paced.ring")) paced();
    if (how_.wants("call.busy.ring")) busy();
    if (how_.wants("call.async.ring")) async();
    if (how_.wants("call.allocations")) allocates();
    if (how_.wants("call.four.ring")) four();
  }

 private:
  void sync() {
    ring_floor floor(1);
    spinner habits;
    row r = row_of("call.sync.ring", "synchronous call, tight loop, two small arguments, ring lane",
                   "us", "<= 2");
    const double line = cache_line_round_trip_ns();
    take_pairs(
        r, how_.rounds, cluster_pids({floor.server_pid()}),
        [&] {
          return tight_us(how_.tight_calls,
                          [&] { ring_floor::call(floor.client(0), habits, 1, 2); });
        },
        [&] { return tight_us(how_.tight_calls, [&] { f_(1, 2); }); });
    r.note = "bare cache line round trip " + std::to_string(static_cast<int>(line)) + " ns";
    if (r.floor * 1e3 > 3 * line) r.note += ", the floor is slow: more than three of them";
    print(r);
  }

  struct pace {
    double p50_us;
    double cpu_us;
  };

  template <class Call>
  pace paced_us(const std::vector<pid_t>& servers, Call&& one) {
    const auto used = [&] {
      double all = own_cpu_s();
      for (const pid_t pid : servers)
        all += process_cpu_s(pid);
      return all;
    };
    std::vector<double> taken;
    const double before = used();
    for (int i = 0; i < how_.paced_calls; ++i) {
      const auto from = clock_ns();
      one();
      taken.push_back(static_cast<double>(clock_ns() - from) / 1e3);
      pause_us(250);
    }
    return {median(taken), (used() - before) * 1e6 / how_.paced_calls};
  }

  void paced() {
    ping_pong floor(wire::local, false, 64);
    row latency = row_of("call.paced.ring", "a call each 250 us", "us", "<= 1.3");
    row cpu =
        row_of("call.paced.ring.cpu", "the same, processor time of both processes", "us", "<= 2");
    std::vector<double> floors;
    std::vector<double> ours;
    std::vector<double> ratios;
    take_pairs(
        latency, how_.rounds, cluster_pids({floor.server_pid()}),
        [&] {
          const auto one = paced_us({floor.server_pid()}, [&] { floor.call(); });
          floors.push_back(one.cpu_us);
          return one.p50_us;
        },
        [&] {
          const auto one = paced_us({worker_pid()}, [&] { f_(1, 2); });
          ours.push_back(one.cpu_us);
          ratios.push_back(one.cpu_us / floors.back());
          return one.p50_us;
        });
    cpu.floor = median(floors);
    cpu.ours = median(ours);
    cpu.judged = median(ratios);
    cpu.rounds = latency.rounds;
    cpu.is_void = latency.is_void;
    print(latency);
    print(cpu);
  }

  void busy() {
    ping_pong floor(wire::local, false, 64);
    std::vector<std::unique_ptr<child>> hogs;
    std::vector<pid_t> pids{floor.server_pid()};
    for (long i = 0; i < ::sysconf(_SC_NPROCESSORS_ONLN); ++i) {
      hogs.push_back(std::make_unique<child>([] {
        for (;;)
          relax();
      }));
      pids.push_back(hogs.back()->pid());
    }
    row r = row_of("call.busy.ring", "tight loop beside one busy loop a CPU", "us", "<= 1.5");
    take_pairs(
        r, how_.rounds, cluster_pids(pids),
        [&] { return tight_us(how_.tight_calls / 10, [&] { floor.call(); }); },
        [&] { return tight_us(how_.tight_calls / 10, [&] { f_(1, 2); }); });
    print(r);
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

  void async() {
    row r = row_of("call.async.ring", "1000 async calls in flight, one client, one worker", "1/s",
                   ">= 0.25");
    row worst = row_of("call.async.ring.worst", "the same, worst of 20 starts", "1/s", ">= 0.15");
    const int calls = how_.tight_calls * 3;
    std::vector<double> floors;
    std::vector<double> ours;
    take_pairs(
        r, 20, cluster_pids({}),
        [&] {
          ring_floor floor(1);
          spinner habits;
          const double from = now_s();
          ring_floor::pipeline(floor.client(0), habits, static_cast<std::uint64_t>(calls), 1000);
          floors.push_back(calls / (now_s() - from));
          return floors.back();
        },
        [&] {
          ours.push_back(window(calls));
          return ours.back();
        });
    worst.floor = *std::min_element(floors.begin(), floors.end());
    worst.ours = *std::min_element(ours.begin(), ours.end());
    worst.judged = worst.ours / worst.floor;
    worst.rounds = r.rounds;
    worst.is_void = r.is_void;
    print(r);
    print(worst);
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

  /// Calls a second of four client processes together.
  double four_clients(const std::function<void(int client, int calls)>& run, int calls) {
    struct gate {
      std::atomic<int> ready;
      std::atomic<bool> go;
    };

    auto* shared = static_cast<gate*>(shared_memory(sizeof(gate)));
    std::vector<std::unique_ptr<child>> clients;
    for (int i = 0; i < 4; ++i)
      clients.push_back(std::make_unique<child>([&, i] {
        run(i, 1);
        ++shared->ready;
        while (!shared->go)
          pause_us(50);
        run(i, calls);
      }));
    while (shared->ready < 4)
      pause_us(200);
    const double from = now_s();
    shared->go = true;
    for (auto& one : clients)
      one->join();
    return 4.0 * calls / (now_s() - from);
  }

  void four() {
    row r =
        row_of("call.four.ring", "four client processes, one worker, synchronous", "1/s", ">= 0.4");
    const auto name =
        lab_.rt().on("local").send<&add>().publish("bench/add@four", "four clients").name;
    const auto folder = lab_.rt().runtime_folder();
    const int calls = how_.tight_calls / 4;
    take_pairs(
        r, how_.rounds, cluster_pids({}),
        [&] {
          ring_floor floor(4);
          return four_clients(
              [&](int i, int n) {
                spinner habits;
                for (int c = 0; c < n; ++c)
                  ring_floor::call(floor.client(i), habits, 1, 2);
              },
              calls);
        },
        [&] {
          return four_clients(
              [&](int, int n) {
                static adding* f = nullptr;
                if (f == nullptr)
                  f = new adding(connect(folder).function<double(double, double)>(name + "@four"));
                for (int c = 0; c < n; ++c)
                  (*f)(1, 2);
              },
              calls);
        });
    print(r);
  }

  pid_t worker_pid() { return static_cast<pid_t>(f_(ask_pid, 0)); }

  /// Processes that are the bench's own: those of its cluster's session, found by their runtime folder.
  std::vector<pid_t> cluster_pids(std::vector<pid_t> more) {
    more.push_back(worker_pid());
    return more;
  }

  const settings how_;
  testing::cluster lab_;
  adding f_;
};

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) {
  berth::bench::call_figures(berth::bench::read_settings(argc, argv)).run();
  return 0;
}
