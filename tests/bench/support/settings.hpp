#pragma once
// How a bench program is asked: which rows, how many rounds. Every program takes the same words.

#include "tests/bench/support/row.hpp"

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

namespace berth::bench {

struct settings {
  int rounds = 15;
  bool quick = false;
  std::string only;

  /// True when the row, or rows that start with `id`, are wanted.
  [[nodiscard]] bool wants(const std::string& id) const {
    return only.empty() || id.find(only) != std::string::npos;
  }
};

/// "--quick" for a look, "--only WORD" for the rows whose id has it; anything else ends the program with code 2.
inline settings read_settings(int argc, char** argv) {
  settings how;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--quick") {
      how.quick = true;
      how.rounds = 3;
    } else if (word == "--only" && i + 1 < argc) {
      how.only = argv[++i];
    } else {
      std::fprintf(stderr, "usage: %s [--quick] [--only WORD]\n", argv[0]);
      std::exit(2);
    }
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

/// Sets what an absolute row says: the median of what was taken, and the worst.
inline row& judge_absolute(row& r, const std::vector<double>& taken) {
  r.ours = r.judged = median(taken);
  r.worst = quantile(taken, 1);
  r.rounds = static_cast<int>(taken.size());
  return r;
}

inline void pause_us(long us) {
  const timespec span{us / 1'000'000, us % 1'000'000 * 1000};
  ::clock_nanosleep(CLOCK_MONOTONIC, 0, &span, nullptr);
}

/// A wrong answer makes every figure worthless: ends the program with code 4.
inline void expect(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "bench: %s\n", what);
  std::exit(4);
}

}  // namespace berth::bench
