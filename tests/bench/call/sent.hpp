#pragma once
// What the call figures share: a cluster of the bench's own, its functions in workers, and ways to time calls.

#include "tests/bench/floor/ring_floor.hpp"
#include "tests/bench/floor/socket_floor.hpp"
#include "tests/bench/support/row.hpp"

#include <berth/berth.hpp>
#include <berth/testing.hpp>
#include <cstdlib>
#include <ctime>
#include <string>
#include <unistd.h>
#include <vector>

namespace berth::bench {

struct settings {
  int rounds = 15;
  int tight_calls = 100'000;
  int paced_calls = 2'000;
  std::string only;

  [[nodiscard]] bool wants(const std::string& id) const {
    return only.empty() || id.find(only) != std::string::npos;
  }
};

/// "--quick" for a look, "--only ID" for some rows.
inline settings read_settings(int argc, char** argv) {
  settings how;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--quick") how.rounds = 3, how.tight_calls = 20'000, how.paced_calls = 200;
    if (word == "--only" && i + 1 < argc) how.only = argv[++i];
  }
  return how;
}

inline row row_of(const char* id, const char* what, const char* unit, const char* bar) {
  row r;
  r.id = id;
  r.what = what;
  r.unit = unit;
  r.bar = bar;
  return r;
}

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

inline void pause_us(long us) {
  const timespec span{0, us * 1000};
  ::clock_nanosleep(CLOCK_MONOTONIC, 0, &span, nullptr);
}

inline void expect(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "call bench: %s\n", what);
  std::exit(4);
}

}  // namespace berth::bench
