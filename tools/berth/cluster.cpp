// up, down, status, ps, stats, logs, config: the running cluster and its processes.
#include "runtime/process/cluster_launch.hpp"
#include "tools/berth/command.hpp"
#include "tools/berth/print.hpp"
#include "tools/berth/table.hpp"

#include <berth/version.hpp>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <iostream>
#include <unistd.h>

namespace berth::tools {
namespace {

namespace verbs = client::verbs;

struct up_options {
  bool foreground = false;
  std::string listen = "127.0.0.1";
};

result<void> check_address(const std::string& address) {
  const auto host = address.substr(0, address.rfind(':'));
  if (host == "127.0.0.1" || host == "localhost" || host == "::1" || host == "[::1]") return {};
  return fail(kind::denied, "tls_needed",
              fmt::format("{} is not a loopback address; other addresses need TLS, which this "
                          "release does not have yet. "
                          "Leave --listen out, or use 127.0.0.1",
                          address));
}

process::launch_options launch_of(const context& with, const std::filesystem::path& bin) {
  process::launch_options how;
  how.supervisor = bin / "berth-supervisor";
  how.head = {(bin / "berthd").string()};
  how.runtime = with.where.runtime;
  how.state = with.where.state;
  return how;
}

// Becomes the supervisor; returns only when it cannot.
result<int> foreground(const process::launch_options& how) {
  auto made = process::foreground_command(how);
  if (!made) return std::move(made).error();
  auto words = *std::move(made);
  std::vector<char*> argv;
  for (auto& word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  return fail(kind::missing, "no_program",
              fmt::format("cannot run {}: {}", words.front(), std::strerror(errno)));
}

result<int> up(context& with, const up_options& given) {
  if (auto loopback = check_address(given.listen); !loopback) return std::move(loopback).error();
  const auto bin = base::program_folder(with.env);
  if (given.foreground) {
    return foreground(launch_of(with, bin));
  }
  const ends_by_itself patience;
  auto started = process::launch(launch_of(with, bin));
  if (!started) return std::move(started).error();
  if (interrupted()) {
    if (auto stopped = process::stop_cluster(started->state(), std::chrono::seconds(10)); !stopped)
      return std::move(stopped).error();
    return exit_code(kind::cancelled);
  }
  const auto& state = started->state();
  if (with.output() == format::json) {
    verbs::cluster_status said;
    said.cluster = "local";
    said.version = BERTH_VERSION;
    if (const auto at = state.facts.find("address"); at != state.facts.end())
      said.address = at->second;
    said.supervisor_pid = state.supervisor;
    said.head_pid = state.head;
    said.runtime_folder = state.runtime.string();
    said.state_folder = state.state.string();
    print_json_line(said);
  } else {
    std::cout << fmt::format("berth is up: supervisor {}, head {}, sockets in {}\n",
                             state.supervisor, state.head, state.runtime.string());
    std::cerr << "Next: berth ship f.cpp --as team/name    berth status    berth down\n";
  }
  return 0;
}

void add_up(command_list& commands, context& with) {
  auto given = std::make_shared<up_options>();
  auto& app = commands.add("up", "Start a cluster on this machine and return when it serves",
                           {"berth up", "berth up --foreground    # for systemd, Type=notify"},
                           [&with, given] { return up(with, *given); });
  app.add_flag("--foreground", given->foreground, "Stay, and tell systemd when ready");
  app.add_option("--listen", given->listen, "Address of the TCP socket; loopback only")
      ->capture_default_str();
}

void add_down(command_list& commands, context& with) {
  auto drain_ms = std::make_shared<std::uint32_t>(5000);
  auto& app =
      commands.add("down", "Let running calls finish, then stop the cluster",
                   {"berth down", "berth down --drain 30000"}, [&with, drain_ms]() -> result<int> {
                     auto state = process::read_cluster_state(with.where.runtime);
                     if (!state) return std::move(state).error();
                     if (auto to = with.cluster(); to)
                       if (auto asked = (*to)->ask<verbs::done>(verbs::down{*drain_ms}); !asked)
                         return std::move(asked).error();
                     auto stopped = process::stop_cluster(
                         *state, std::chrono::milliseconds(*drain_ms) + std::chrono::seconds(5));
                     if (!stopped) return std::move(stopped).error();
                     std::cout << (with.output() == format::json ? "{\"text\":\"stopped\"}\n"
                                                                 : "berth is down\n");
                     return 0;
                   });
  app.add_option("--drain", *drain_ms, "Milliseconds running calls may still take")
      ->capture_default_str();
}

void add_status(command_list& commands, context& with) {
  commands.add("status", "Show the running cluster", {"berth status", "berth status -o json"},
               [&with] {
                 return show<verbs::cluster_status>(
                     with, verbs::status{}, [](const verbs::cluster_status& s) {
                       std::cout << fmt::format(
                           "cluster   {}{}\nberth     {}\nup        {}\nnames     {}\nworkers   "
                           "{}\nrevision  {}\n",
                           s.cluster, s.embedded ? " (embedded)" : "", s.version, span_text(s.up_s),
                           s.names, s.workers, s.revision);
                       std::cout << fmt::format(
                           "lane      {}\nhead      pid {}\nparent    pid {}\nsockets   {}\nstate  "
                           "   {}\ntcp       {}\n",
                           s.lane, s.head_pid, s.supervisor_pid, s.runtime_folder, s.state_folder,
                           s.address);
                     });
               });
}

void add_ps(command_list& commands, context& with) {
  auto verb = std::make_shared<verbs::ps>();
  auto& app = commands.add(
      "ps", "List the workers: who runs what", {"berth ps", "berth ps digits/"}, [&with, verb] {
        return show<verbs::processes>(with, *verb, [](const verbs::processes& found) {
          table rows(
              {"WORKER", "PID", "NAME", "STATE", "UP", "CALLS", "LINKS", "MEMORY", "LAST DEATH"});
          for (const auto& one : found.rows)
            rows.add({one.worker, std::to_string(one.pid),
                      fmt::format("{}@{}", one.name, one.version), one.state, span_text(one.up_s),
                      std::to_string(one.calls), std::to_string(one.links),
                      fmt::format("{:.1f} MiB", static_cast<double>(one.memory_kib) / 1024),
                      one.last_death.substr(0, one.last_death.find('\n'))});
          rows.print(std::cout, "No workers.");
        });
      });
  app.add_option("PREFIX", verb->prefix, "Only names that start with this");
}

void add_stats(command_list& commands, context& with) {
  auto verb = std::make_shared<verbs::stats>();
  auto& app =
      commands.add("stats", "Count calls by caller, ref, version and outcome",
                   {"berth stats", "berth stats digits/ -o json"}, [&with, verb] {
                     return show<verbs::counters>(with, *verb, [](const verbs::counters& found) {
                       table rows({"CALLER", "REF", "VERSION", "OUTCOME", "CALLS"});
                       for (const auto& one : found.rows)
                         rows.add({one.caller, one.ref, fmt::format("@{}", one.version),
                                   one.outcome, std::to_string(one.calls)});
                       rows.print(std::cout, "No calls yet.");
                     });
                   });
  app.add_option("PREFIX", verb->prefix, "Only refs that start with this");
}

void print_log_row(const verbs::log_row& row) {
  if (row.skipped > 0) std::cerr << fmt::format("berth: {} lines skipped\n", row.skipped);
  std::cout << fmt::format("{} {}@{} {}{} ", row.at, printable(row.name), row.version, row.worker,
                           row.call != 0 ? fmt::format(" call {}", row.call) : std::string())
            << printable(row.line) << std::endl;
}

void add_logs(command_list& commands, context& with) {
  auto verb = std::make_shared<verbs::logs>();
  auto& app =
      commands.add("logs", "Show what the workers of a name printed",
                   {"berth logs digits/classify", "berth logs digits/ -f", "berth logs -n 100"},
                   [&with, verb]() -> result<int> {
                     if (verb->follow) return follow<verbs::log_row>(with, *verb, print_log_row);
                     return show<verbs::log_rows>(with, *verb, [](const verbs::log_rows& found) {
                       for (const auto& row : found.rows)
                         print_log_row(row);
                     });
                   });
  app.add_option("PREFIX", verb->prefix, "Only names that start with this");
  app.add_flag("-f,--follow", verb->follow, "Go on until Ctrl-C");
  app.add_option("-n,--lines", verb->lines, "Older lines to begin with")->capture_default_str();
}

void add_config(command_list& commands, context& with) {
  auto origin = std::make_shared<bool>(false);
  auto& app = commands.add(
      "config", "Show every setting", {"berth config", "berth config --show-origin"},
      [&with, origin]() -> result<int> {
        if (with.output() == format::json) {
          value::object all;
          for (const auto& one : with.settings.all())
            all.push_back(
                {one.name, value(value::object{{"value", one.value}, {"origin", one.origin}})});
          std::cout << print_json(value(std::move(all))) << '\n';
          return 0;
        }
        table rows(*origin ? std::vector<std::string>{"SETTING", "VALUE", "ORIGIN"}
                           : std::vector<std::string>{"SETTING", "VALUE"});
        for (const auto& one : with.settings.all())
          rows.add({one.name, one.value, one.origin});
        rows.print(std::cout, "No settings.");
        return 0;
      });
  app.add_flag("--show-origin", *origin, "Say where each value comes from");
}

}  // namespace

void add_cluster_commands(command_list& commands, context& with) {
  add_up(commands, with);
  add_down(commands, with);
  add_status(commands, with);
  add_ps(commands, with);
  add_stats(commands, with);
  add_logs(commands, with);
  add_config(commands, with);
}

}  // namespace berth::tools
