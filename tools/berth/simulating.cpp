// simulate: the scheduler's simulator; it needs no cluster.
#include "tools/berth/command.hpp"
#include "tools/berth/interrupt.hpp"
#include "tools/simulate/simulate_command.hpp"

#include <iostream>

namespace berth::tools {

void add_simulating_commands(command_list& commands, context& with) {
  const auto words = std::make_shared<simulate_words>();
  auto& command = commands.add(
      "simulate", "Replay a published workload, or a queue, through the scheduler",
      simulate_examples(), [words, &with]() -> result<int> {
        const auto form = with.output() == format::json ? report_form::json : report_form::table;
        auto done = run_simulate(*words, form, std::cout, std::cerr, interrupted);
        if (!done) return std::move(done).error();
        return 0;
      });
  add_simulate_options(command, *words);
}

}  // namespace berth::tools
