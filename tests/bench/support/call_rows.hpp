#pragma once
// The rows that bare links and typed calls have in common: the floor, the rounds and the bar are the same, only how a
// call is made differs.

#include "tests/bench/floor/clients.hpp"
#include "tests/bench/floor/ring_floor.hpp"
#include "tests/bench/floor/socket_floor.hpp"
#include "tests/bench/support/settings.hpp"

#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace berth::bench {

inline constexpr std::size_t mebibyte = std::size_t{1} << 20;
/// Bytes of a small call's frame, either way.
inline constexpr std::size_t small_frame_bytes = floor_frame_bytes;

/// Median over batches of 16 calls, microseconds a call: the clock is read once a batch.
template <class Call>
double tight_us(int calls, Call&& one) {
  std::vector<double> taken;
  for (int i = 0; i < calls; i += 16) {
    const auto from = clock_ns();
    for (int n = 0; n < 16; ++n)
      one();
    taken.push_back(static_cast<double>(clock_ns() - from) / 16e3);
  }
  return median(taken);
}

/// Microseconds of each of `calls` calls, for tails.
template <class Call>
std::vector<double> each_us(int calls, Call&& one) {
  std::vector<double> taken;
  for (int i = 0; i < calls; ++i) {
    const auto from = clock_ns();
    one();
    taken.push_back(static_cast<double>(clock_ns() - from) / 1e3);
  }
  return taken;
}

class call_rows {
 public:
  /// Ids start with `prefix`; `subject` says in words what is called.
  call_rows(settings how, std::string prefix, std::string subject)
      : how_(std::move(how)), prefix_(std::move(prefix)), subject_(std::move(subject)) {}

  [[nodiscard]] int tight_calls() const { return how_.quick ? 20'000 : 100'000; }

  [[nodiscard]] int rounds() const { return how_.rounds; }

  [[nodiscard]] bool wants(const std::string& leaf) const { return how_.wants(prefix_ + leaf); }

  [[nodiscard]] row made(const std::string& leaf,
                         const std::string& what,
                         const char* unit,
                         const char* bar) const {
    return row_of((prefix_ + leaf).c_str(), (subject_ + what).c_str(), unit, bar);
  }

  template <class Call>
  row sync_ring(Call&& ours) const {
    ring_floor floor(1);
    spinner habits;
    row r = made(".sync.ring", ", tight loop, ring lane", "us", "<= 2");
    const double line = cache_line_round_trip_ns();
    take_pairs(
        r, how_.rounds, {},
        [&] {
          return tight_us(tight_calls(), [&] { ring_floor::call(floor.client(0), habits, 1, 2); });
        },
        [&] { return tight_us(tight_calls(), ours); });
    r.note = "bare cache line round trip " + std::to_string(static_cast<int>(line)) + " ns";
    if (r.floor * 1e3 > 3 * line) r.note += ", the floor is slow: more than three of them";
    return r;
  }

  /// Latency, and processor time of `serving` and this process.
  template <class Call>
  std::array<row, 2> paced_ring(pid_t serving, Call&& ours) const {
    ping_pong floor(wire::local, false, small_frame_bytes);
    row latency = made(".paced.ring", " each 250 us", "us", "<= 1.3");
    row cpu =
        made(".paced.ring.cpu", " each 250 us, processor time of both processes", "us", "<= 2");
    std::vector<double> floors, taken, ratios;
    take_pairs(
        latency, how_.rounds, {},
        [&] {
          const auto one = paced_us(floor.server_pid(), [&] { floor.call(); });
          floors.push_back(one.cpu_us);
          return one.p50_us;
        },
        [&] {
          const auto one = paced_us(serving, ours);
          taken.push_back(one.cpu_us);
          ratios.push_back(one.cpu_us / floors.back());
          return one.p50_us;
        });
    cpu.floor = median(floors);
    cpu.ours = median(taken);
    cpu.judged = median(ratios);
    cpu.worst = quantile(ratios, 1);
    cpu.rounds = latency.rounds;
    cpu.is_void = latency.is_void;
    return {latency, cpu};
  }

  template <class Call>
  row busy_ring(Call&& ours) const {
    ping_pong floor(wire::local, false, small_frame_bytes);
    const busy_loops beside;
    row r = made(".busy.ring", ", tight loop beside one busy loop a CPU", "us", "<= 1.5");
    take_pairs(
        r, how_.rounds, {}, [&] { return tight_us(tight_calls() / 10, [&] { floor.call(); }); },
        [&] { return tight_us(tight_calls() / 10, ours); });
    return r;
  }

  template <class Call>
  row sync_tcp(Call&& ours) const {
    ping_pong floor(wire::tcp, true, small_frame_bytes);
    row r = made(".sync.tcp", ", tight loop, TCP loopback", "us", "<= 1.5");
    take_pairs(
        r, how_.rounds, {}, [&] { return tight_us(tight_calls() / 5, [&] { floor.call(); }); },
        [&] { return tight_us(tight_calls() / 5, ours); });
    return r;
  }

  /// `ours(calls)` starts anew and returns its calls a second.
  std::array<row, 2> async_ring(const std::function<double(int)>& ours) const {
    row r = made(".async.ring", ", 1000 in flight, ring lane", "1/s", ">= 0.25");
    row worst = made(".async.ring.worst", ", 1000 in flight, worst of 20 starts", "1/s", ">= 0.15");
    const int calls = tight_calls() * 5;
    std::vector<double> floors, taken;
    take_pairs(
        r, 20, {},
        [&] {
          ring_floor floor(1);
          spinner habits;
          const double from = now_s();
          ring_floor::pipeline(floor.client(0), habits, static_cast<std::uint64_t>(calls), 1000);
          floors.push_back(calls / (now_s() - from));
          return floors.back();
        },
        [&] {
          taken.push_back(ours(calls));
          return taken.back();
        });
    worst.floor = quantile(floors, 0);
    worst.ours = quantile(taken, 0);
    worst.judged = worst.worst = ratio_of(worst.floor, worst.ours);
    worst.rounds = r.rounds;
    worst.is_void = r.is_void;
    return {r, worst};
  }

  /// Four client processes; `begin()` makes whatever serves one round, kept until the round is over.
  template <class Begin>
  row four_ring(Begin&& begin) const {
    row r = made(".four.ring", ", four client processes, one server", "1/s", ">= 0.4");
    const int calls = tight_calls() / 2;
    take_pairs(
        r, how_.rounds, {},
        [&] {
          ring_floor floor(4);
          return calls_per_s_of(4, calls, [&](int client, int n) {
            spinner habits;
            for (int i = 0; i < n; ++i)
              ring_floor::call(floor.client(client), habits, 1, 2);
          });
        },
        [&] {
          const auto run = begin();
          return calls_per_s_of(4, calls, run);
        });
    return r;
  }

  /// `ours()` sends what lies at `from` once.
  template <class Call>
  row tensor_tcp(const char* from, std::size_t bytes, Call&& ours) const {
    raw_send floor(bytes);
    row r = made(".tensor.tcp", ", 64 MiB argument over TCP loopback", "MiB/s", ">= 0.7");
    const auto rate = [&](auto&& send) {
      const double begun = now_s();
      send();
      return static_cast<double>(bytes) / mebibyte / (now_s() - begun);
    };
    take_pairs(
        r, how_.rounds, {}, [&] { return rate([&] { floor.send(from); }); },
        [&] { return rate(ours); });
    return r;
  }

  /// Tails of a small call, alone beside a copying process and on a link that `big` keeps busy from a thread of its own.
  template <class Small, class Big>
  std::array<row, 2> beside_big(std::size_t bytes, Small&& small, Big&& big) const {
    row p99 =
        made(".beside.p99", " while calls of 256 MiB are in flight on its link, p99", "us", "<= 2");
    row p999 = made(".beside.p999", " while calls of 256 MiB are in flight on its link, p99.9",
                    "ms", "<= 20");
    std::vector<double> tails;
    take_pairs(
        p99, how_.rounds, {},
        [&] {
          const child copies([&] {
            std::vector<char> from(bytes, 1), to(bytes, 2);
            for (;;)
              std::memcpy(to.data(), from.data(), bytes);
          });
          pause_us(900'000);  // until its memory is there
          return quantile(each_us(tight_calls() / 10, small), 0.99);
        },
        [&] {
          std::atomic<bool> stop{false};
          std::vector<std::thread> busy;
          for (int i = 0; i < 2; ++i)
            busy.emplace_back([&] {
              while (!stop)
                big();
            });
          const auto taken = each_us(tight_calls() / 10, small);
          stop = true;
          for (auto& one : busy)
            one.join();
          tails.push_back(quantile(taken, 0.999) / 1e3);
          return quantile(taken, 0.99);
        });
    judge_absolute(p999, tails);
    p999.is_void = p99.is_void;
    return {p99, p999};
  }

 private:
  struct pace {
    double p50_us;
    double cpu_us;
  };

  template <class Call>
  pace paced_us(pid_t serving, Call&& one) const {
    const int calls = how_.quick ? 200 : 2'000;
    const auto used = [&] { return own_cpu_s() + process_cpu_s(serving); };
    std::vector<double> taken;
    const double before = used();
    for (int i = 0; i < calls; ++i) {
      const auto from = clock_ns();
      one();
      taken.push_back(static_cast<double>(clock_ns() - from) / 1e3);
      pause_us(250);
    }
    return {median(taken), (used() - before) * 1e6 / calls};
  }

  settings how_;
  std::string prefix_;
  std::string subject_;
};

}  // namespace berth::bench
