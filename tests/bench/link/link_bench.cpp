// The figures of bare links: the same small call as the floors, through `link` and `server` with a handler that adds two
// numbers. What typed calls cost above this is the codec's and the worker's.

#include "runtime/net/endpoint.hpp"
#include "runtime/net/link.hpp"
#include "runtime/net/server.hpp"
#include "tests/bench/support/call_rows.hpp"

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
  void on_call(net::served_link& from, const net::message_view& what) override {
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

  void on_request(net::served_link&, const net::message_view&) override {}
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

double send_external(net::link& link, const base::external& payload) {
  const auto from = clock_ns();
  net::pending slot;
  auto open = link.begin(slot, call_header(), 0, {&payload, 1});
  if (!open) std::exit(4);
  open.commit();
  if (link.wait(slot) != net::completion::answered) std::exit(4);
  return static_cast<double>(clock_ns() - from) / 1e6;
}

constexpr std::size_t tensor_bytes = 64 * mebibyte;

class link_figures {
 public:
  explicit link_figures(const settings& how) : rows_(how, "link", "bare link call") {}

  void run() {
    if (rows_.wants(".sync.ring")) sync();
    if (rows_.wants(".paced.ring")) paced();
    if (rows_.wants(".busy.ring")) busy();
    if (rows_.wants(".sync.tcp")) tcp();
    if (rows_.wants(".async.ring")) async();
    if (rows_.wants(".four.ring")) four();
    if (rows_.wants(".tensor.ring")) tensor_ring();
    if (rows_.wants(".tensor.shared")) tensor_shared();
    if (rows_.wants(".tensor.tcp")) tensor_tcp();
    if (rows_.wants(".beside")) beside();
  }

 private:
  void sync() {
    linked ours(wire::local, 1);
    const auto link = ours.link(0);
    row r = rows_.sync_ring([&] { call(*link, 1, 2); });
    const auto seen = link->statistics();
    r.note += ", spin misses " + std::to_string(seen.spin_misses) + " of "
              + std::to_string(seen.frames_in) + ", rescues " + std::to_string(seen.rescues);
    print(r);
  }

  void paced() {
    linked ours(wire::local, 1);
    const auto link = ours.link(0);
    for (const auto& r : rows_.paced_ring(ours.server_pid(), [&] { call(*link, 1, 2); }))
      print(r);
  }

  void busy() {
    linked ours(wire::local, 1);
    const auto link = ours.link(0);
    print(rows_.busy_ring([&] { call(*link, 1, 2); }));
  }

  void tcp() {
    linked ours(wire::tcp, 1);
    const auto link = ours.link(0);
    print(rows_.sync_tcp([&] { call(*link, 1, 2); }));
  }

  void async() {
    const auto once = [](int calls) {
      linked ours(wire::local, 1);
      auto drives = net::driver::start();
      const auto link = ours.link(0, drives->get());
      ended events;
      std::vector<std::unique_ptr<net::pending>> slots;
      for (int i = 0; i < 1000; ++i)
        slots.push_back(std::make_unique<net::pending>(&events));
      const double from = now_s();
      window(*link, calls, slots);
      return calls / (now_s() - from);
    };
    for (const auto& r : rows_.async_ring(once))
      print(r);
  }

  void four() {
    print(rows_.four_ring([] {
      const auto ours = std::make_shared<linked>(wire::local, 4);
      return [ours](int client, int calls) {
        static net::link* const link =
            ours->link(client).release();  // of this client process, and ends with it
        for (int i = 0; i < calls; ++i)
          call(*link, 1, 2);
      };
    }));
  }

  void tensor_ring() {
    linked ours(wire::local, 1);
    const auto link = ours.link(0);
    std::vector<char> from(tensor_bytes, 1), to(tensor_bytes, 2);
    base::external plain;
    plain.bytes = std::as_bytes(std::span(from));
    send_external(*link, plain);
    row r = rows_.made(".tensor.ring", ", 64 MiB payload copied into a kept segment", "ms", "<= 2");
    take_pairs(
        r, rows_.rounds(), {},
        [&] {
          const auto at = clock_ns();
          std::memcpy(to.data(), from.data(), tensor_bytes);
          asm volatile("" ::"r"(to.data()) : "memory");
          return static_cast<double>(clock_ns() - at) / 1e6;
        },
        [&] { return send_external(*link, plain); });
    print(r);
  }

  void tensor_shared() {
    linked ours(wire::local, 1);
    const auto link = ours.link(0);
    for (const std::size_t bytes : {tensor_bytes, 1024 * mebibyte}) {
      auto made = base::segment::create(bytes);
      if (!made) continue;
      base::external shared;
      shared.bytes = {(*made)->data(), bytes};
      shared.shared = *made;
      send_external(*link, shared);
      std::vector<double> taken;
      for (int i = 0; i < rows_.rounds(); ++i)
        taken.push_back(send_external(*link, shared) * 1e3);
      row r = rows_.made(bytes == tensor_bytes ? ".tensor.shared.64" : ".tensor.shared.1024",
                         ", payload made in shared memory and mapped before", "us", "<= 100");
      print(judge_absolute(r, taken));
    }
  }

  void tensor_tcp() {
    linked ours(wire::tcp, 1);
    const auto link = ours.link(0);
    const auto kept = std::make_shared<std::vector<char>>(tensor_bytes, 1);
    base::external plain;  // with an owner, as a tensor has one: the link sends from where it lies
    plain.bytes = std::as_bytes(std::span(*kept));
    plain.owner = kept;
    send_external(*link, plain);
    print(rows_.tensor_tcp(kept->data(), tensor_bytes, [&] { send_external(*link, plain); }));
  }

  void beside() {
    const std::size_t bytes = 256 * mebibyte;
    linked ours(wire::local, 1);
    const auto link = ours.link(0);
    std::vector<char> from(bytes, 1);
    base::external plain;
    plain.bytes = std::as_bytes(std::span(from));
    send_external(*link, plain);
    for (const auto& r : rows_.beside_big(
             bytes, [&] { call(*link, 1, 2); }, [&] { send_external(*link, plain); }))
      print(r);
  }

  const call_rows rows_;
};

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) {
  berth::bench::link_figures(berth::bench::read_settings(argc, argv)).run();
  return 0;
}
