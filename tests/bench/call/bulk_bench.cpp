// The figures of large payloads, of many items, and of starting up.

#include "tests/bench/call/sent.hpp"

#include <chrono>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace berth::bench {
namespace {

double ends_of(const tensor<float>& xs) {
  return xs.size() == 0 ? 0 : xs[0] + xs[xs.size() - 1];
}

int wait_a_millisecond(int x) {
  pause_us(1000);
  return x;
}

int echo(int x) {
  return x;
}

class bulk_figures {
 public:
  explicit bulk_figures(const settings& how) : how_(how), rows_(how, "call", "call of a tensor") {}

  void run() {
    if (how_.wants("call.connect")) starts();
    if (how_.wants("call.tensor.64MiB") || how_.wants("call.tensor.shared")) tensors();
    if (how_.wants("call.tensor.tcp")) over_tcp();
    if (how_.wants("call.beside")) beside();
    if (how_.wants("call.map")) maps();
  }

 private:
  void starts() {
    row r = row_of("call.connect.embedded", "connect() to an embedded cluster", "ms", "<= 150");
    row w = row_of("call.worker.start",
                   "send a function to a warm cluster and have its first answer", "ms", "");
    std::vector<double> connects;
    std::vector<double> firsts;
    for (int i = 0; i < how_.rounds; ++i) {
      const double from = now_s();
      const testing::cluster one;
      connects.push_back((now_s() - from) * 1e3);
      const double then = now_s();
      expect(one.rt().on("local").send<&echo>()(3) == 3, "a wrong echo");
      firsts.push_back((now_s() - then) * 1e3);
    }
    r.ours = r.judged = median(connects);
    r.worst = quantile(connects, 1);
    w.ours = w.judged = median(firsts);
    w.worst = quantile(firsts, 1);
    r.rounds = w.rounds = how_.rounds;
    print(r);
    print(w);
  }

  void tensors() {
    const testing::cluster lab;
    const auto f = lab.rt().on("local").send<&ends_of>();
    by_value(f);
    for (const std::size_t size : {64 * mebibyte, 1024 * mebibyte})
      shared(lab, f, size);
  }

  void by_value(const sent<double(const tensor<float>&)>& f) {
    row r = row_of("call.tensor.64MiB", "64 MiB float tensor argument, ring lane, steady state",
                   "ms", "<= 2");
    const std::uint64_t n = 64 * mebibyte / sizeof(float);
    tensor<float> xs(extents{n});
    xs.edit()[0] = 1;
    std::vector<float> from(n, 1.f);
    std::vector<float> to(n, 2.f);
    for (int i = 0; i < 3; ++i)
      expect(f(xs) == 1, "a wrong tensor");
    take_pairs(
        r, how_.rounds, {},
        [&] {
          const double begun = now_s();
          std::memcpy(to.data(), from.data(), n * sizeof(float));
          expect(to[n - 1] == from[n - 1], "a wrong copy");
          return (now_s() - begun) * 1e3;
        },
        [&] {
          const double begun = now_s();
          expect(f(xs) == 1, "a wrong tensor");
          return (now_s() - begun) * 1e3;
        });
    print(r);
  }

  void shared(const testing::cluster& lab,
              const sent<double(const tensor<float>&)>& f,
              std::size_t bytes) {
    const bool small = bytes == 64 * mebibyte;
    row r = row_of(small ? "call.tensor.shared.64MiB" : "call.tensor.shared.1GiB",
                   "tensor made in shared memory, mapped before, first and last element read", "us",
                   "<= 100");
    auto xs = lab.rt().shared_tensor<float>({bytes / sizeof(float)});
    xs.edit()[0] = 1;
    for (int i = 0; i < 3; ++i)
      expect(f(xs) == 1, "a wrong tensor");
    std::vector<double> taken;
    for (int i = 0; i < 200; ++i) {
      const auto begun = clock_ns();
      expect(f(xs) == 1, "a wrong tensor");
      taken.push_back(static_cast<double>(clock_ns() - begun) / 1e3);
    }
    r.ours = r.judged = median(taken);
    r.worst = quantile(taken, 0.99);
    r.rounds = 200;
    print(r);
  }

  void over_tcp() {
    const testing::cluster lab;
    const auto name = lab.rt().on("local").send<&ends_of>().publish("bench/ends@tcp", "TCP").name;
    const auto f = connect_over_tcp(lab).function<double(const tensor<float>&)>(name + "@tcp");
    tensor<float> xs(extents{64 * mebibyte / sizeof(float)});
    xs.edit()[0] = 1;
    const auto* from = reinterpret_cast<const char*>(xs.data().data());
    expect(f(xs) == 1, "a wrong tensor");
    print(rows_.tensor_tcp(from, 64 * mebibyte, [&] { expect(f(xs) == 1, "a wrong tensor"); }));
  }

  /// The small call is the same function with an empty tensor, so that it goes over the same link to the same worker,
  /// which runs one call at a time.
  void beside() {
    const testing::cluster lab;
    const auto f = lab.rt().on("local").send<&ends_of>();
    tensor<float> xs(extents{256 * mebibyte / sizeof(float)});
    const tensor<float> none(extents{0});
    xs.edit()[0] = 1;
    expect(f(xs) == 1, "a wrong tensor");
    for (const auto& r : rows_.beside_big(
             256 * mebibyte, [&] { f(none); }, [&] { f(xs); }))
      print(r);
  }

  void maps() {
    row r = row_of("call.map", "map of 10,000 items that wait 1 ms each, 2 replicas: efficiency",
                   "", ">= 0.95");
    const testing::cluster lab;
    const auto name =
        lab.rt().on("local").send<&wait_a_millisecond>().publish("bench/wait@map", "map", 2).name;
    const auto f = lab.rt().function<int(int)>(name + "@map");
    std::vector<int> items(how_.quick ? 1000 : 10'000);
    for (std::size_t i = 0; i < items.size(); ++i)
      items[i] = static_cast<int>(i);
    const double pause = median_pause_s();
    const double from = now_s();
    std::size_t right = 0;
    for (auto& one : f.with({.in_flight = 64, .ordered = false}).map(items))
      right += one.value() == static_cast<int>(one.index);
    const double took = now_s() - from;
    expect(right == items.size(), "an item without its result");
    r.floor = static_cast<double>(items.size()) * pause / 2;
    r.ours = took;
    r.judged = r.floor / took;
    r.rounds = 1;
    print(r);
  }

  /// What a pause of one millisecond really takes here.
  static double median_pause_s() {
    std::vector<double> taken;
    for (int i = 0; i < 200; ++i) {
      const double from = now_s();
      pause_us(1000);
      taken.push_back(now_s() - from);
    }
    return median(taken);
  }

  const settings how_;
  const call_rows rows_;
};

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) {
  berth::bench::bulk_figures(berth::bench::read_settings(argc, argv)).run();
  return 0;
}
