#pragma once
// What runs beside or around a floor: several clients that start together, and loops that keep every CPU busy.

#include "tests/bench/floor/child.hpp"
#include "tests/bench/floor/spin.hpp"
#include "tests/bench/support/settings.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

namespace berth::bench {

/// Calls a second of `clients` processes together; `run(client, calls)` makes that many calls. Each makes one before the
/// start, so that it is connected.
inline double calls_per_s_of(int clients,
                             int calls,
                             const std::function<void(int client, int calls)>& run) {
  struct gate {
    std::atomic<int> ready;
    std::atomic<bool> go;
  };

  auto* shared = static_cast<gate*>(shared_memory(sizeof(gate)));
  std::vector<std::unique_ptr<child>> running;
  for (int i = 0; i < clients; ++i)
    running.push_back(std::make_unique<child>([&, i] {
      run(i, 1);
      ++shared->ready;
      while (!shared->go)
        pause_us(50);
      run(i, calls);
    }));
  while (shared->ready < clients)
    pause_us(200);
  const double from = now_s();
  shared->go = true;
  for (auto& one : running)
    one->join();
  return static_cast<double>(clients) * calls / (now_s() - from);
}

/// One busy loop a CPU, as long as it lives.
class busy_loops {
 public:
  busy_loops() {
    for (long i = 0; i < ::sysconf(_SC_NPROCESSORS_ONLN); ++i)
      loops_.push_back(std::make_unique<child>([] {
        for (;;)
          relax();
      }));
  }

 private:
  std::vector<std::unique_ptr<child>> loops_;
};

}  // namespace berth::bench
