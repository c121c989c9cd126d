// Flips under load: a hundred between two versions that tags of their own keep live, while one thread calls through the
// flipped tag without a pause and another has a call of a second running.
//
// Each version has two replicas, so that the long call occupies one and the short ones go to the other.

#include "tests/bench/support/settings.hpp"

#include <atomic>
#include <berth/berth.hpp>
#include <berth/testing.hpp>
#include <thread>

namespace berth::bench {
namespace {

constexpr int flips_wanted = 100;
constexpr long calls_between = 1000;
constexpr int long_call = -1;
constexpr int first_answers = 1000;
constexpr int second_answers = 2000;

void wait_when_long(int x) {
  if (x == long_call) pause_us(1'000'000);
}

/// What happened while the tag moved.
struct flips_seen {
  std::vector<double> acknowledged_ms;
  long calls = 0;
  long checked = 0;  ///< calls no flip was asked for meanwhile, so that one version alone was right
  long failed = 0;
  long late = 0;
  long long_calls = 0;
  std::string problem;
};

/// Calls through the tag until it goes. Flip number n was asked for when `asked` is n, acknowledged when `done` is.
class caller {
 public:
  explicit caller(const function<int(int)>& f) : f_(f), thread_([this] { run(); }) {}

  caller(const caller&) = delete;
  caller& operator=(const caller&) = delete;

  ~caller() { stop(); }

  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

  std::atomic<int> asked{0};
  std::atomic<int> done{0};
  std::atomic<long> calls{0};
  long checked = 0, failed = 0, late = 0;
  std::string problem;

 private:
  void run() {
    while (!stop_) {
      const int before = done.load();
      const auto answer = f_.try_(1);
      const bool one_was_right = asked.load() == before;
      calls.fetch_add(1, std::memory_order_relaxed);
      if (!answer) {
        if (failed++ == 0) problem = answer.error().to_string();
      } else if (one_was_right) {
        ++checked;
        late += *answer != 1 + (before % 2 == 0 ? first_answers : second_answers);
      }
    }
  }

  function<int(int)> f_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

flips_seen flip_under_load(int flips) {
  const testing::cluster lab;
  const auto& rt = lab.rt();
  const auto local = rt.on("local");
  const auto one = local
                       .send<[](int x) {
                         wait_when_long(x);
                         return x + first_answers;
                       }>()
                       .publish("bench/flip@one", "first", 2)
                       .version;
  const auto two = local
                       .send<[](int x) {
                         wait_when_long(x);
                         return x + second_answers;
                       }>()
                       .publish("bench/flip@two", "second", 2)
                       .version;
  rt.tag("bench/flip@prod", {{one, 100}}, "start");
  const auto f = rt.function<int(int)>("bench/flip@prod");
  expect(f(1) == 1 + first_answers, "a wrong answer");

  flips_seen seen;
  std::atomic<bool> stop{false};
  std::thread beside([&] {
    while (!stop) {
      if (!f.try_(long_call)) ++seen.failed;
      ++seen.long_calls;
    }
  });
  pause_us(100'000);
  caller calls(f);
  for (int flip = 1; flip <= flips; ++flip) {
    const long enough = calls.calls + calls_between;
    const double late = now_s() + 30;
    while (calls.calls < enough && now_s() < late)
      pause_us(200);
    const double from = now_s();
    calls.asked = flip;
    rt.tag("bench/flip@prod", {{flip % 2 == 0 ? one : two, 100}}, "back and forth");
    calls.done = flip;
    seen.acknowledged_ms.push_back((now_s() - from) * 1e3);
  }
  calls.stop();
  stop = true;
  beside.join();
  seen.calls = calls.calls;
  seen.checked = calls.checked;
  seen.failed += calls.failed;
  seen.late = calls.late;
  seen.problem = calls.problem;
  return seen;
}

void print_rows(const flips_seen& seen, bool disturbed) {
  const auto note = std::to_string(seen.acknowledged_ms.size()) + " flips, "
                    + std::to_string(seen.calls) + " calls, " + std::to_string(seen.checked)
                    + " of them between flips, " + std::to_string(seen.long_calls)
                    + " calls of a second";
  row failed = row_of("flip.failed", "calls failed over 100 flips of their tag", "", "<= 0");
  failed.ours = failed.judged = failed.worst = static_cast<double>(seen.failed);
  failed.note = seen.problem.empty() ? note : note + "; " + seen.problem;
  row late =
      row_of("flip.late", "calls started on the old version after the acknowledgement", "", "<= 0");
  late.ours = late.judged = late.worst = static_cast<double>(seen.late);
  late.note = note;
  row ack = row_of("flip.acknowledged", "request to acknowledgement while a 1 s call runs, worst",
                   "ms", "<= 20");
  ack.ours = median(seen.acknowledged_ms);
  ack.judged = ack.worst = quantile(seen.acknowledged_ms, 1);
  ack.note = note + "; ours is the median";
  ack.is_void = disturbed;
  for (auto* one : {&failed, &late, &ack}) {
    one->rounds = 1;
    print(*one);
  }
}

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) {
  using namespace berth::bench;
  const settings how = read_settings(argc, argv);
  if (!how.wants("flip.failed") && !how.wants("flip.late") && !how.wants("flip.acknowledged"))
    return 0;
  const foreign_load load({});
  const auto seen = flip_under_load(how.quick ? 10 : flips_wanted);
  print_rows(seen, load.cores() > 0.1);
  return 0;
}
