// The figures of bare links: the same small call as the floors, through `link` and `server` with a handler that adds two
// numbers. What typed calls cost above this is the codec's and the worker's.

#include "runtime/net/endpoint.hpp"
#include "runtime/net/link.hpp"
#include "runtime/net/server.hpp"
#include "tests/bench/floor/ring_floor.hpp"
#include "tests/bench/floor/socket_floor.hpp"
#include "tests/bench/support/row.hpp"

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace berth::bench {
namespace {

using net::frame_kind;
using net::reservation;

struct two {
  double a, b;
};

/// Adds two numbers; looks at the first and last byte of payloads.
class adder final : public net::handler {
 public:
  void on_call(net::served_link& from, net::message_view what) override {
    two in{};
    if (what.body.size() == sizeof in) std::memcpy(&in, what.body.data(), sizeof in);
    double sum = in.a + in.b;
    for (const auto& one : what.externals)
      sum += std::to_integer<int>(one.bytes.front()) + std::to_integer<int>(one.bytes.back());
    auto open = from.begin(frame_kind::result, what.header.call, sizeof sum);
    if (!open) return;
    std::memcpy(open.body(), &sum, sizeof sum);
    open.commit(reservation::when::batched);
  }

  void on_request(net::served_link&, net::message_view) override {}
};

/// A child that serves `links` sockets, and the links to it (made by whoever calls `link`).
class linked {
 public:
  linked(wire over, int links) : over_(over) {
    for (int i = 0; i < links; ++i)
      ends_.push_back(connected_sockets(over));
    serves_ = std::make_unique<child>([this] { serve(); });
    for (auto& end : ends_)
      ::close(end[1]);
  }

  [[nodiscard]] std::unique_ptr<net::link> link(int i, net::driver* drives = nullptr) {
    net::connect_options how;
    how.program = "link_bench";
    how.calling.drives = drives;
    auto made = net::connect_over(base::unique_fd(ends_[static_cast<std::size_t>(i)][0]), how);
    if (!made) {
      std::fprintf(stderr, "link_bench: %s\n", made.error().to_string().c_str());
      std::exit(3);
    }
    return *std::move(made);
  }

  [[nodiscard]] pid_t server_pid() const { return serves_->pid(); }

 private:
  void serve() {
    adder does;
    net::server::options how;
    how.program = "link_bench server";
    auto started = net::server::start(does, how);
    if (!started) std::exit(3);
    for (auto& end : ends_) {
      ::close(end[0]);
      net::accepted one;
      one.socket.reset(end[1]);
      one.over_tcp = over_ == wire::tcp;
      (*started)->adopt(std::move(one));
    }
    for (;;)
      ::pause();
  }

  wire over_;
  std::vector<std::array<int, 2>> ends_;
  std::unique_ptr<child> serves_;
};

net::frame_header call_header() {
  net::frame_header header;
  header.kind = frame_kind::call;
  header.binding = 1;
  return header;
}

double call(net::link& link, double a, double b) {
  net::pending slot;
  auto open = link.begin(slot, call_header(), sizeof(two));
  const two in{a, b};
  std::memcpy(open.body(), &in, sizeof in);
  open.commit();
  if (link.wait(slot) != net::completion::answered) std::exit(4);
  double sum = 0;
  std::memcpy(&sum, slot.answer().body.data(), sizeof sum);
  if (sum != a + b) std::exit(4);
  return sum;
}

/// Median over batches of 16 calls, µs a call.
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

void pause_us(long us) {
  const timespec span{0, us * 1000};
  ::clock_nanosleep(CLOCK_MONOTONIC, 0, &span, nullptr);
}

struct paced {
  double p50_us;
  double cpu_us;  ///< of both processes, a call
};

template <class Call>
paced paced_us(int calls, pid_t server, Call&& one) {
  std::vector<double> taken;
  const double cpu = own_cpu_s() + process_cpu_s(server);
  for (int i = 0; i < calls; ++i) {
    const auto from = clock_ns();
    one();
    taken.push_back(static_cast<double>(clock_ns() - from) / 1e3);
    pause_us(250);
  }
  return {median(taken), (own_cpu_s() + process_cpu_s(server) - cpu) * 1e6 / calls};
}

row row_of(const char* id, const char* what, const char* unit, const char* bar) {
  row r;
  r.id = id;
  r.what = what;
  r.unit = unit;
  r.bar = bar;
  return r;
}

struct settings {
  int rounds = 15;
  int tight_calls = 100'000;
  int paced_calls = 2'000;
  std::string only;
};

void sync_ring(const settings& how) {
  ring_floor floor(1);
  linked ours(wire::local, 1);
  const auto link = ours.link(0);
  spinner habits;
  row r = row_of("link.sync.ring", "bare link call, tight loop, ring lane", "us", "<= 2");
  r.note = "cache line round trip " + std::to_string(cache_line_round_trip_ns()) + " ns";
  take_pairs(
      r, how.rounds, {floor.server_pid(), ours.server_pid()},
      [&] {
        return tight_us(how.tight_calls,
                        [&] { ring_floor::call(floor.client(0), habits, 1.0, 2.0); });
      },
      [&] { return tight_us(how.tight_calls, [&] { call(*link, 1.0, 2.0); }); });
  const auto seen = link->statistics();
  r.note += ", spin misses " + std::to_string(seen.spin_misses) + " of "
            + std::to_string(seen.frames_in) + ", rescues " + std::to_string(seen.rescues);
  print(r);
}

void paced_ring(const settings& how) {
  ping_pong floor(wire::local, false, 64);
  linked ours(wire::local, 1);
  const auto link = ours.link(0);
  row latency = row_of("link.paced.ring", "bare link call each 250 us", "us", "<= 1.3");
  row cpu = row_of("link.paced.ring.cpu", "processor time of both processes, a call each 250 us",
                   "us", "<= 2");
  std::vector<double> ratios, floors, mine;
  take_pairs(
      latency, how.rounds, {floor.server_pid(), ours.server_pid()},
      [&] {
        const auto one = paced_us(how.paced_calls, floor.server_pid(), [&] { floor.call(); });
        floors.push_back(one.cpu_us);
        return one.p50_us;
      },
      [&] {
        const auto one = paced_us(how.paced_calls, ours.server_pid(), [&] { call(*link, 1, 2); });
        mine.push_back(one.cpu_us);
        ratios.push_back(one.cpu_us / floors.back());
        return one.p50_us;
      });
  cpu.floor = median(floors);
  cpu.ours = median(mine);
  cpu.judged = median(ratios);
  cpu.rounds = latency.rounds;
  cpu.is_void = latency.is_void;
  print(latency);
  print(cpu);
}

void busy_ring(const settings& how) {
  ping_pong floor(wire::local, false, 64);
  linked ours(wire::local, 1);
  const auto link = ours.link(0);
  std::vector<std::unique_ptr<child>> hogs;
  std::vector<pid_t> pids{floor.server_pid(), ours.server_pid()};
  for (int i = 0; i < 2; ++i) {
    hogs.push_back(std::make_unique<child>([] {
      for (;;)
        relax();
    }));
    pids.push_back(hogs.back()->pid());
  }
  row r =
      row_of("link.busy.ring", "bare link call, tight loop, beside two busy loops", "us", "<= 1.5");
  take_pairs(
      r, how.rounds, pids, [&] { return tight_us(how.tight_calls / 10, [&] { floor.call(); }); },
      [&] { return tight_us(how.tight_calls / 10, [&] { call(*link, 1, 2); }); });
  print(r);
}

void sync_tcp(const settings& how) {
  ping_pong floor(wire::tcp, true, 64);
  linked ours(wire::tcp, 1);
  const auto link = ours.link(0);
  row r = row_of("link.sync.tcp", "bare link call, tight loop, TCP loopback", "us", "<= 1.5");
  take_pairs(
      r, how.rounds, {floor.server_pid(), ours.server_pid()},
      [&] { return tight_us(how.tight_calls / 5, [&] { floor.call(); }); },
      [&] { return tight_us(how.tight_calls / 5, [&] { call(*link, 1, 2); }); });
  print(r);
}

struct ended : net::call_events {};

/// Calls with 1000 under way, waiting for the oldest.
void window(net::link& link, int calls, std::vector<std::unique_ptr<net::pending>>& slots) {
  for (int i = 0; i < calls; ++i) {
    auto& slot = *slots[static_cast<std::size_t>(i) % slots.size()];
    if (!slot.done()) link.wait(slot);
    auto open = link.begin(slot, call_header(), sizeof(two));
    if (!open) std::exit(4);
    const two in{1.0, 2.0};
    std::memcpy(open.body(), &in, sizeof in);
    open.commit(reservation::when::batched);
  }
  for (auto& slot : slots)
    link.wait(*slot);
}

void async_ring(const settings& how) {
  row r = row_of("link.async.ring", "1000 bare link calls in flight, ring lane", "1/s", ">= 0.25");
  row worst = row_of("link.async.ring.worst", "the same, worst of 20 starts", "1/s", ">= 0.15");
  std::vector<double> floors, mine;
  const int calls = how.tight_calls * 5;
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
        linked ours(wire::local, 1);
        auto drives = net::driver::start();
        const auto link = ours.link(0, drives->get());
        ended events;
        std::vector<std::unique_ptr<net::pending>> slots;
        for (int i = 0; i < 1000; ++i)
          slots.push_back(std::make_unique<net::pending>(&events));
        const double from = now_s();
        window(*link, calls, slots);
        mine.push_back(calls / (now_s() - from));
        return mine.back();
      });
  worst.floor = *std::min_element(floors.begin(), floors.end());
  worst.ours = *std::min_element(mine.begin(), mine.end());
  worst.judged = worst.ours / worst.floor;
  worst.rounds = r.rounds;
  print(r);
  print(worst);
}

/// Calls a second of four client processes together.
double four_clients(const std::function<void(int client, std::uint64_t calls)>& run, int calls) {
  struct gate {
    std::atomic<int> ready;
    std::atomic<bool> go;
  };

  auto* shared = static_cast<gate*>(shared_memory(sizeof(gate)));
  std::vector<std::unique_ptr<child>> clients;
  for (int i = 0; i < 4; ++i)
    clients.push_back(std::make_unique<child>([&, i] {
      run(i, 0);
      ++shared->ready;
      while (!shared->go)
        pause_us(50);
      run(i, static_cast<std::uint64_t>(calls));
    }));
  while (shared->ready < 4)
    pause_us(200);
  const double from = now_s();
  shared->go = true;
  for (auto& one : clients)
    one->join();
  return 4.0 * calls / (now_s() - from);
}

void four_ring(const settings& how) {
  row r = row_of("link.four.ring", "four client processes, one server, bare link calls", "1/s",
                 ">= 0.4");
  const int calls = how.tight_calls / 2;
  take_pairs(
      r, how.rounds, {},
      [&] {
        ring_floor floor(4);
        spinner habits;
        return four_clients(
            [&](int client, std::uint64_t n) {
              for (std::uint64_t i = 0; i < n; ++i)
                ring_floor::call(floor.client(client), habits, 1, 2);
            },
            calls);
      },
      [&] {
        linked ours(wire::local, 4);
        std::unique_ptr<net::link> link;
        return four_clients(
            [&](int client, std::uint64_t n) {
              if (!link) link = ours.link(client);
              for (std::uint64_t i = 0; i < n; ++i)
                call(*link, 1, 2);
              if (n != 0) static_cast<void>(link.release());  // the process ends, the link with it
            },
            calls);
      });
  print(r);
}

constexpr std::size_t tensor_bytes = std::size_t{64} << 20;

double send_external(net::link& link, const base::external& payload) {
  const auto from = clock_ns();
  net::pending slot;
  auto open = link.begin(slot, call_header(), 0, {&payload, 1});
  if (!open) std::exit(4);
  open.commit();
  if (link.wait(slot) != net::completion::answered) std::exit(4);
  return static_cast<double>(clock_ns() - from) / 1e6;
}

void tensor_ring(const settings& how) {
  linked ours(wire::local, 1);
  const auto link = ours.link(0);
  std::vector<char> from(tensor_bytes, 1), to(tensor_bytes, 2);
  base::external plain;
  plain.bytes = std::as_bytes(std::span(from));
  send_external(*link, plain);
  row r = row_of("link.tensor.ring", "64 MiB payload, copied into a kept segment, steady state",
                 "ms", "<= 2");
  take_pairs(
      r, how.rounds, {ours.server_pid()},
      [&] {
        const auto at = clock_ns();
        std::memcpy(to.data(), from.data(), tensor_bytes);
        asm volatile("" ::"r"(to.data()) : "memory");
        return static_cast<double>(clock_ns() - at) / 1e6;
      },
      [&] { return send_external(*link, plain); });
  print(r);
  for (const std::size_t bytes : {tensor_bytes, std::size_t{1} << 30}) {
    auto made = base::segment::create(bytes);
    if (!made) continue;
    base::external shared;
    shared.bytes = {(*made)->data(), bytes};
    shared.shared = *made;
    send_external(*link, shared);
    std::vector<double> taken;
    for (int i = 0; i < how.rounds; ++i)
      taken.push_back(send_external(*link, shared) * 1e3);
    row s = row_of(bytes == tensor_bytes ? "link.tensor.shared.64" : "link.tensor.shared.1024",
                   "payload made in shared memory", "us", "<= 100");
    s.ours = s.judged = median(taken);
    s.worst = quantile(taken, 1);
    s.rounds = how.rounds;
    print(s);
  }
}

void tensor_tcp(const settings& how) {
  raw_send floor(tensor_bytes);
  linked ours(wire::tcp, 1);
  const auto link = ours.link(0);
  const auto kept = std::make_shared<std::vector<char>>(tensor_bytes, 1);
  const auto& from = *kept;
  base::external plain;  // with an owner, as a tensor has one: the link sends from where it lies
  plain.bytes = std::as_bytes(std::span(from));
  plain.owner = kept;
  send_external(*link, plain);
  row r = row_of("link.tensor.tcp", "64 MiB payload over TCP loopback, MiB a second", "MiB/s",
                 ">= 0.7");
  take_pairs(
      r, how.rounds, {floor.server_pid(), ours.server_pid()},
      [&] {
        const auto at = clock_ns();
        floor.send(from.data());
        return 64e9 / static_cast<double>(clock_ns() - at);
      },
      [&] { return 64e3 / send_external(*link, plain); });
  print(r);
}

void small_beside_big(const settings& how) {
  row p99 = row_of("link.beside.p99",
                   "small call while 256 MiB calls are in flight on its link: p99", "us", "<= 2");
  row p999 = row_of("link.beside.p999", "the same: p99.9, ms", "ms", "<= 20");
  const std::size_t bytes = std::size_t{256} << 20;
  std::vector<double> tails;
  const auto small_calls = [&](net::link& link, std::vector<double>& into) {
    for (int i = 0; i < how.tight_calls / 10; ++i) {
      const auto from = clock_ns();
      call(link, 1, 2);
      into.push_back(static_cast<double>(clock_ns() - from) / 1e3);
    }
  };
  take_pairs(
      p99, how.rounds, {},
      [&] {
        linked ours(wire::local, 1);
        const auto link = ours.link(0);
        child copies([&] {
          std::vector<char> from(bytes, 1), to(bytes, 2);
          for (;;)
            std::memcpy(to.data(), from.data(), bytes);
        });
        pause_us(900'000);
        std::vector<double> taken;
        small_calls(*link, taken);
        return quantile(taken, 0.99);
      },
      [&] {
        linked ours(wire::local, 1);
        const auto link = ours.link(0);
        std::vector<char> from(bytes, 1);
        base::external plain;
        plain.bytes = std::as_bytes(std::span(from));
        send_external(*link, plain);
        std::atomic<bool> stop{false};
        std::thread big([&] {
          while (!stop)
            send_external(*link, plain);
        });
        std::vector<double> taken;
        small_calls(*link, taken);
        stop = true;
        big.join();
        tails.push_back(quantile(taken, 0.999) / 1e3);
        return quantile(taken, 0.99);
      });
  p999.ours = p999.judged = median(tails);
  p999.worst = quantile(tails, 1);
  p999.rounds = p99.rounds;
  print(p99);
  print(p999);
}

int run(int count, char** words) {
  settings how;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--quick") how = {3, 16'000, 300, how.only};
    if (word.starts_with("--only=")) how.only = word.substr(7);
  }
  const auto wanted = [&](std::string_view name) { return how.only.empty() || how.only == name; };
  if (wanted("sync")) sync_ring(how);
  if (wanted("paced")) paced_ring(how);
  if (wanted("busy")) busy_ring(how);
  if (wanted("tcp")) sync_tcp(how);
  if (wanted("async")) async_ring(how);
  if (wanted("four")) four_ring(how);
  if (wanted("tensor")) tensor_ring(how);
  if (wanted("tensor_tcp")) tensor_tcp(how);
  if (wanted("beside")) small_beside_big(how);
  return 0;
}

}  // namespace
}  // namespace berth::bench

int main(int count, char** words) {
  return berth::bench::run(count, words);
}
