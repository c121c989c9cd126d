#pragma once
// The words of `berth simulate`: its options, and what they set going.

#include "tools/simulate/simulate.hpp"

#include <berth/error.hpp>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

namespace CLI {
class App;
}  // namespace CLI

namespace berth::tools {

/// The command line as typed.
struct simulate_words {
  std::string trace;
  std::string workloads = "default";
  std::string policies{sched::default_policy};
  std::string seeds = "42";
  std::string plot;
  std::string placements;
  bool shuffle = false;
  bool queue = false;
  std::string arrivals;
  std::string teams = "x:2,y:1";
  std::int64_t until_s = 0;
  bool no_backfill = false;
};

/// Command lines for the help page.
[[nodiscard]] std::vector<std::string> simulate_examples();

/// Adds the options to the command; parsing writes `into`, which outlives it.
void add_simulate_options(CLI::App& command, simulate_words& into);

/// Does what was typed: the report goes to `out`, progress to `progress`. `stopped` is asked now and then; when it
/// answers true the run ends with `cancelled` and leaves no half-written file. Errors: those of simulate and
/// simulate_queue; `invalid` for words that go together badly.
result<void> run_simulate(const simulate_words& words,
                          report_form form,
                          std::ostream& out,
                          std::ostream& progress,
                          std::function<bool()> stopped = {});

}  // namespace berth::tools
