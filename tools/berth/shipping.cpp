// ship, dev, restart: from sources to live versions.
#include "runtime/client/ship.hpp"
#include "tools/berth/command.hpp"
#include "tools/berth/file_watch.hpp"
#include "tools/berth/print.hpp"
#include "tools/berth/progress.hpp"
#include "tools/berth/table.hpp"

#include <fmt/format.h>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

namespace berth::tools {
namespace {

namespace verbs = client::verbs;

struct ship_options {
  ship_request what;
  std::vector<std::string> with;
  std::vector<std::string> variables;
  std::string variables_file;
  std::string flags;
  std::string link;
};

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;)
    words.push_back(word);
  return words;
}

result<std::pair<std::string, std::string>> assignment_of(const std::string& text,
                                                          const char* option) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    return fail(kind::invalid, "bad_assignment",
                fmt::format("{} takes NAME=VALUE, not '{}'", option, text));
  return std::pair{text.substr(0, equals), text.substr(equals + 1)};
}

// Values stand as they are, without quotes; they may be secrets, so no error shows them.
result<void> read_variables_file(const std::string& path, std::vector<std::string>& into) {
  std::ifstream in(path);
  if (!in) return fail(kind::missing, "no_file", fmt::format("cannot read {}", path));
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.ends_with('\r')) line.pop_back();
    if (line.find_first_not_of(" \t") == std::string::npos || line.front() == '#') continue;
    const auto equals = line.find('=');
    if (equals == std::string::npos || equals == 0)
      return fail(kind::invalid, "bad_assignment",
                  fmt::format("{}:{} is not NAME=VALUE", path, number));
    if (auto fine = module::check_secret_name(line.substr(0, equals)); !fine)
      return std::move(fine).error().at(fmt::format("{}:{}", path, number));
    into.push_back(std::move(line));
  }
  return {};
}

// What the command line gave, as the pipeline takes it.
result<ship_request> request_of(const context& with, const ship_options& given) {
  ship_request what = given.what;
  for (auto& source : what.sources) {
    const auto colons = source.rfind("::");
    if (colons == std::string::npos) continue;
    what.symbol = source.substr(colons + 2);
    source.resize(colons);
  }
  for (const auto& text : given.with) {
    auto one = assignment_of(text, "--with");
    if (!one) return std::move(one).error();
    what.with[one->first] = one->second;
  }
  for (const auto& text : given.variables) {
    auto one = assignment_of(text, "--env");
    if (!one) return std::move(one).error();
    if (auto fine = module::check_variable_name(one->first); !fine) return std::move(fine).error();
    what.variables.push_back(text);
  }
  if (!given.variables_file.empty())
    if (auto read = read_variables_file(given.variables_file, what.secrets); !read)
      return std::move(read).error();
  what.flags = words_of(given.flags.empty() ? with.settings.get("build.flags") : given.flags);
  what.link = words_of(given.link);
  if (what.compiler.empty() && with.settings.get("build.compiler") != "c++")
    what.compiler = with.settings.get("build.compiler");
  return what;
}

void print_shipped(const shipped& one) {
  std::cout << fmt::format("{}@{}  {}{}\n", one.name, one.version, one.digest.substr(0, 12),
                           one.existed ? "  (shipped before: nothing changed)" : "");
  std::cerr << fmt::format("  built in {:.0f} ms{}, uploaded in {:.0f} ms, live after {:.0f} ms\n",
                           one.build_ms, one.built_from_cache ? " (from the cache)" : "",
                           one.upload_ms, one.publish_ms);
}

struct shipped_list {
  std::vector<shipped> versions;
};

// A stop source that Ctrl-C triggers while it lives.
class interrupt_stop {
 public:
  interrupt_stop()
      : watcher_([this](const std::stop_token& ended) { await_interrupt(ended, source_); }) {}

  [[nodiscard]] std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  std::jthread watcher_;
};

result<std::vector<shipped>> ship_once(context& with,
                                       const ship_options& given,
                                       const std::stop_token& stop) {
  auto what = request_of(with, given);
  if (!what) return std::move(what).error();
  auto to = with.cluster();
  if (!to) return std::move(to).error();
  progress_line line;
  what->progress = [&line](std::string_view step) { line.show(step); };
  auto all = client::ship(**to, *what, client::find_ship_places(with.env, with.where), stop);
  line.clear();
  if (!all) return std::move(all).error();
  if (!all->empty() && !all->front().warnings.empty()) std::cerr << all->front().warnings;
  return all;
}

result<int> run_ship(context& with, const ship_options& given) {
  const ends_by_itself patience;  // compilers are stopped first
  interrupt_stop stop;
  auto all = ship_once(with, given, stop.token());
  if (!all) return std::move(all).error();
  if (with.output() == format::json) {
    print_json_line(shipped_list{*all});
    return 0;
  }
  for (const auto& one : *all)
    print_shipped(one);
  if (!given.what.tag.empty())
    std::cerr << fmt::format("Next: berth call {}@{} …\n", all->front().name, given.what.tag);
  return 0;
}

void add_ship_options(CLI::App& app, ship_options& given) {
  app.add_option("SOURCES", given.what.sources,
                 "C++ sources (f.cpp::g picks one export), or one .so");
  app.add_option("--as", given.what.as,
                 "The name: team/path/leaf; team/ ships every export as team/<export>")
      ->required();
  app.add_option("--tag", given.what.tag, "Point this tag at it, besides latest");
  app.add_option("--why", given.what.why, "The reason, kept in the history");
  app.add_option("--with", given.with, "Bind a parameter: name=@file, name=literal, name=JSON")
      ->type_name("NAME=VALUE");
  app.add_option("--file", given.what.files, "A file for the worker's folder");
  app.add_option("--env", given.variables,
                 "A variable for the worker; names of secrets are refused")
      ->type_name("NAME=VALUE");
  app.add_option("--env-file", given.variables_file,
                 "Variables from a file, one NAME=VALUE a line; secrets, so nothing shows them");
  app.add_option("--replicas", given.what.replicas, "Workers to start")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  app.add_option("--flags", given.flags, "For the compiler (default: the setting build.flags)");
  app.add_option("--link", given.link, "For the linker: -l, -L, archives");
  app.add_option("--compiler", given.what.compiler, "g++, clang++, or a path");
  app.add_option("--target", given.what.target,
                 "A target of your own CMake build, instead of sources");
  app.add_option("--build-dir", given.what.build_folder, "The folder of that build");
  app.add_flag("--force", given.what.force, "Flip although a bound caller would break");
}

void add_ship(command_list& commands, context& with) {
  auto given = std::make_shared<ship_options>();
  auto& app =
      commands.add("ship", "Build code, start it beside the old version, and flip to it",
                   {"berth ship hello.cpp --as demo/hello",
                    "berth ship digits.cpp --as digits/classify --with w=@weights.bin --tag prod",
                    "berth ship f.cpp::score --as lab/score --flags '-O3 -march=native'",
                    "berth ship --target score --build-dir build --as lab/score",
                    "berth ship score.so --as lab/score --replicas 4"},
                   [&with, given] { return run_ship(with, *given); });
  add_ship_options(app, *given);
}

result<int> run_dev(context& with, const ship_options& given) {
  const ends_by_itself patience;
  interrupt_stop stop;
  file_watch watch;
  for (const auto& source : given.what.sources)
    if (auto added = watch.add(source.substr(
            0, source.rfind("::") == std::string::npos ? source.size() : source.rfind("::")));
        !added)
      return std::move(added).error();
  while (!interrupted()) {
    const auto start = std::chrono::steady_clock::now();
    auto all = ship_once(with, given, stop.token());
    if (interrupted()) break;
    if (!all) {
      std::cerr << "berth: " << all.error().to_string() << '\n';
      std::cerr << "The old version serves on. Watching; Ctrl-C ends.\n";
    } else {
      for (const auto& one : *all)
        print_shipped(one);
      std::cerr << fmt::format(
          "Live {:.0f} ms after the change. Watching; Ctrl-C ends.\n",
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
              .count());
    }
    if (!watch.wait()) break;
  }
  return exit_code(kind::cancelled);
}

void add_dev(command_list& commands, context& with) {
  auto given = std::make_shared<ship_options>();
  auto& app =
      commands.add("dev", "Ship, then ship again whenever a source is saved, until Ctrl-C",
                   {"berth dev hello.cpp --as demo/hello",
                    "berth dev digits.cpp --as digits/classify --with w=@weights.bin --tag qa"},
                   [&with, given] { return run_dev(with, *given); });
  add_ship_options(app, *given);
}

void add_restart(command_list& commands, context& with) {
  auto verb = std::make_shared<verbs::restart>();
  auto& app = commands.add("restart", "Replace a name's workers one by one; no call fails",
                           {"berth restart digits/classify"}, [&with, verb] {
                             return show<verbs::done>(with, *verb, [](const verbs::done& said) {
                               std::cout << said.text << '\n';
                             });
                           });
  app.add_option("NAME", verb->name, "The name")->required();
}

}  // namespace

void add_shipping_commands(command_list& commands, context& with) {
  add_ship(commands, with);
  add_dev(commands, with);
  add_restart(commands, with);
}

}  // namespace berth::tools
