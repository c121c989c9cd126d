// The scheduler's figures. Speeds are thread CPU time of the decision alone and hold on an idle machine of two cores.

#include "tests/bench/scheduler/rows.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>
#include <exception>
#include <string>

namespace {

void print_table_row(const berth::bench::row& of) {
  std::printf("%-72s %12.2f %-10s %-10s %s\n", of.what.c_str(), of.ours, of.unit.c_str(),
              of.bar.c_str(), of.verdict());
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace berth::bench;
  CLI::App app("The scheduler's figures.");
  std::string data = BERTH_TEST_DATA "/openb";
  std::string form = "json";
  std::string only = "all";
  bool check = false;
  app.add_option("--data", data, "Folder of the published trace")->capture_default_str();
  app.add_option("-o,--output", form, "json (one line per row) or table")
      ->check(CLI::IsMember({"table", "json"}));
  app.add_option("--rows", only, "quality, speed, gang, memory, queue or all")
      ->check(CLI::IsMember({"quality", "speed", "gang", "memory", "queue", "all"}));
  app.add_flag("--check", check, "Exit with 1 when a row misses its bar or stays void");
  CLI11_PARSE(app, argc, argv);

  bool good = true;
  const row_sink sink = [&](const row& of) {
    good = good && !of.is_void && (of.bar.empty() || of.passes());
    form == "json" ? print(of) : print_table_row(of);
  };
  const auto wanted = [&](const char* rows) { return only == "all" || only == rows; };
  try {
    if (wanted("quality")) quality_rows(data, sink);
    if (wanted("memory")) memory_rows(data, sink);
    if (wanted("queue")) queue_rows(sink);
    if (wanted("speed")) speed_rows(data, sink);
    if (wanted("gang")) gang_rows(data, sink);
  } catch (const std::exception& wrong) {
    std::fprintf(stderr, "%s\n", wrong.what());
    return 2;
  }
  return check && !good ? 1 : 0;
}
