// The scheduler's figures. Speeds are thread CPU time of the decision alone and hold on an idle machine of two cores.

#include "tests/bench/scheduler/rows.hpp"

#include <cstdio>
#include <exception>

int main(int argc, char** argv) {
  using namespace berth::bench;
  const bench_run run{read_settings(argc, argv), BERTH_TEST_DATA "/openb", print};
  try {
    quality_rows(run);
    memory_rows(run);
    queue_rows(run);
    speed_rows(run);
    gang_rows(run);
  } catch (const std::exception& wrong) {
    std::fprintf(stderr, "%s\n", wrong.what());
    return 4;
  }
  return 0;
}
