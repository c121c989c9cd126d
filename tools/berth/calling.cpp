// call, map, stream: functions from the shell.
#include "runtime/client/dynamic.hpp"
#include "runtime/module/saved_value.hpp"
#include "tools/berth/arguments.hpp"
#include "tools/berth/command.hpp"
#include "tools/berth/here_call.hpp"
#include "tools/berth/print.hpp"

#include <charconv>
#include <fmt/format.h>
#include <fstream>
#include <iostream>

namespace berth::tools {
namespace {

struct call_flags {
  std::string ref;
  std::vector<std::string> words;
  std::string within;
  std::string sticky;
  std::string patience;
  std::string out;
  std::uint32_t in_flight = 64;
  bool unordered = false;
  bool quiet = false;
  bool here = false;
  bool gdb = false;
  here_request version;  ///< of --here
};

result<std::chrono::milliseconds> milliseconds_of(const context& with, const char* setting) {
  const auto& text = with.settings.get(setting);
  std::uint32_t number = 0;
  const auto [end, why] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (why != std::errc() || end != text.data() + text.size())
    return fail(
        kind::invalid, "bad_setting",
        fmt::format("the setting {} is a number of milliseconds, not '{}'; see berth config "
                    "--show-origin",
                    setting, text));
  return std::chrono::milliseconds(number);
}

result<detail::call_settings> settings_of(const context& with,
                                          const call_flags& given,
                                          const detail::callee_ref& to) {
  detail::call_settings how;
  auto patience = milliseconds_of(with, "call.patience_ms");
  if (!patience) return std::move(patience).error();
  how.patience = *patience;
  if (!given.within.empty()) {
    auto span = duration_of(given.within);
    if (!span) return std::move(span).error();
    how.within = *span;
  }
  if (!given.patience.empty()) {
    auto span = duration_of(given.patience);
    if (!span) return std::move(span).error();
    how.patience = *span;
  }
  if (!given.sticky.empty()) how.bucket = to->bucket_for(given.sticky);
  how.in_flight = given.in_flight;
  how.ordered = !given.unordered;
  return how;
}

// What a call needs: the bound function, its settings.
struct prepared_call {
  client::dynamic_function function;
  detail::call_settings how;
};

result<prepared_call> prepare(context& with, const call_flags& given) {
  auto session = with.session();
  if (!session) return std::move(session).error();
  auto function = client::dynamic_function::bind(*session, given.ref);
  if (!function) return std::move(function).error();
  auto how = settings_of(with, given, function->callee());
  if (!how) return std::move(how).error();
  return prepared_call{*std::move(function), *std::move(how)};
}

// The result's shape, asked of the head: what a value file needs and the call itself does not tell.
result<shape> result_shape(context& with, const std::string& ref) {
  auto to = with.cluster();
  if (!to) return std::move(to).error();
  client::verbs::resolve verb;
  verb.ref = ref;
  auto route = (*to)->ask<client::verbs::route>(verb);
  if (!route) return std::move(route).error();
  if (route->versions.empty())
    return fail(kind::missing, "no_version", "nothing stands behind " + ref);
  auto all = decode_signatures(route->versions.front().signatures);
  if (!all) return std::move(all).error();
  const auto dot = ref.find('.');
  const auto method =
      dot == std::string::npos ? std::string() : ref.substr(dot + 1, ref.find('@') - dot - 1);
  for (const auto& one : *all)
    if (method.empty() || one.method == method) return one.result;
  return fail(kind::missing, "no_method", "there is no method " + method);
}

result<void> write_value_file(context& with, const call_flags& given, const value& result) {
  auto shape = result_shape(with, given.ref);
  if (!shape) return std::move(shape).error();
  std::string file;
  if (const auto* raw = result.get<bytes>(); raw != nullptr && shape->form() == form::bytes) {
    file.assign(reinterpret_cast<const char*>(raw->data()), raw->size());
  } else {
    auto hot = encode_hot(*shape, result, {.unknown = unknown_members::refuse, .inline_all = true});
    if (!hot) return std::move(hot).error();
    file = module::print_saved(*shape, hot->block);
  }
  std::ofstream out(given.out, std::ios::binary);
  out << file;
  out.close();
  if (!out) return fail(kind::failed, "not_written", fmt::format("cannot write {}", given.out));
  return {};
}

void print_value(const context& with, const value& result) {
  if (result.is_null()) return;
  const bool people = with.output() == format::table;
  std::cout << print_json(result, {.indent = 0, .tensor_elements_max = people ? 8U : 0U}) << '\n';
}

// In a worker of this command's own; nothing of a cluster is asked.
result<int> run_here(context& with, const call_flags& given, const value& arguments) {
  auto what = given.version;
  what.what = given.ref;
  if (given.gdb) what.under = here_request::debugger::gdb;
  auto worker = here_worker::start(with, what);
  if (!worker) return std::move(worker).error();
  auto function = (*worker)->function();
  if (!function) return std::move(function).error();
  auto said = function->call(arguments, {});
  if (!said) return std::move(said).error();
  print_value(with, said->result);
  return 0;
}

result<int> run_call(context& with, const call_flags& given) {
  auto arguments = arguments_of(given.words);
  if (!arguments) return std::move(arguments).error();
  if (given.here) return run_here(with, given, *arguments);
  auto ready = prepare(with, given);
  if (!ready) return std::move(ready).error();
  auto said = ready->function.call(*arguments, ready->how);
  if (!said) return std::move(said).error();
  if (!given.out.empty()) {
    if (auto wrote = write_value_file(with, given, said->result); !wrote)
      return std::move(wrote).error();
    return 0;
  }
  print_value(with, said->result);
  return 0;
}

void add_shared_flags(CLI::App& app, call_flags& given) {
  app.add_option("REF", given.ref, "What to call: name, name@tag, name@7, name.method@tag")
      ->required();
  app.add_option("--within", given.within, "Deadline, as in 250ms or 5s (default: none)")
      ->type_name("DURATION");
  app.add_option("--patience", given.patience, "How long to wait for a place in the queue")
      ->type_name("DURATION");
  app.add_option("--sticky", given.sticky, "Routing key: calls with one key go to one version");
}

void add_call(command_list& commands, context& with) {
  auto given = std::make_shared<call_flags>();
  auto& app =
      commands.add("call", "Call a function and print its result as JSON",
                   {"berth call demo/hello '\"Ada\"'",
                    "berth call digits/classify@prod picture=@seven.json --within 1s",
                    "berth call digits/train @rows.bin --out weights.bin",
                    "berth call digits.cpp::classify @seven.json --here --with w=@weights.bin",
                    "berth call digits/classify@prod @seven.json --here --gdb"},
                   [&with, given] { return run_call(with, *given); });
  add_shared_flags(app, *given);
  app.add_option("ARGS", given->words,
                 "Arguments: JSON or text, name=value, @file, @- for standard input");
  app.add_option("--out", given->out, "Write the result to a file that --with and @file read back");
  auto* here = app.add_flag("--here", given->here,
                            "Run REF (a name, or a source or .so as FILE::SYMBOL) in a child of "
                            "this command");
  app.add_flag("--gdb", given->gdb, "With --here: under gdb")->needs(here);
  app.add_option("--with", given->version.with, "With --here and a file: bind a parameter")
      ->type_name("NAME=VALUE")
      ->needs(here);
  app.add_option("--file", given->version.files, "With --here and a file: for the worker's folder")
      ->needs(here);
  app.add_option("--env", given->version.environment, "With --here and a file: a variable")
      ->type_name("NAME=VALUE")
      ->needs(here);
}

result<int> run_stream(context& with, const call_flags& given) {
  auto arguments = arguments_of(given.words);
  if (!arguments) return std::move(arguments).error();
  auto ready = prepare(with, given);
  if (!ready) return std::move(ready).error();
  auto ended = ready->function.stream(*arguments, ready->how, [&](const value& item) {
    print_value(with, item);
    std::cout.flush();
    return !interrupted() && std::cout.good();
  });
  if (interrupted()) return exit_code(kind::cancelled);
  if (!ended) return std::move(ended).error();
  return 0;
}

void add_stream(command_list& commands, context& with) {
  auto given = std::make_shared<call_flags>();
  auto& app = commands.add(
      "stream", "Call a function that streams; one line of JSON an item, until it ends or Ctrl-C",
      {"berth stream lm/tell '\"once upon\"'", "berth stream lm/tell '\"once\"' | head -5"},
      [&with, given] { return run_stream(with, *given); });
  add_shared_flags(app, *given);
  app.add_option("ARGS", given->words, "Arguments, as for berth call");
}

// Lines of a file, or of standard input for "-".
class line_reader {
 public:
  explicit line_reader(const std::string& path) : path_(path) {
    if (path != "-") file_.open(path);
  }

  [[nodiscard]] bool good() const { return path_ == "-" || file_.good(); }

  bool next(std::string& line) {
    ++number_;
    return static_cast<bool>(std::getline(path_ == "-" ? std::cin : file_, line));
  }

  [[nodiscard]] std::uint64_t number() const { return number_; }

 private:
  std::string path_;
  std::ifstream file_;
  std::uint64_t number_ = 0;
};

result<int> run_map(context& with, const call_flags& given) {
  line_reader lines(given.words.front());
  if (!lines.good())
    return fail(kind::missing, "no_file", fmt::format("cannot read {}", given.words.front()));
  auto ready = prepare(with, given);
  if (!ready) return std::move(ready).error();
  std::optional<error_info> bad_line;
  std::uint64_t failed = 0;
  std::uint64_t all = 0;
  auto next = [&]() -> std::optional<value> {
    std::string line;
    while (!interrupted() && lines.next(line)) {
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      auto item = parse_json(line);
      if (!item) {
        bad_line =
            std::move(item).error().at(fmt::format("{}:{}", given.words.front(), lines.number()));
        return std::nullopt;
      }
      // A line that is an array or object holds the arguments; anything else is the only one.
      if (item->get<value::list>() == nullptr && item->get<value::object>() == nullptr)
        return value(value::list{*item});
      return *std::move(item);
    }
    return std::nullopt;
  };
  ready->function.map(
      next, ready->how, [&](std::uint64_t number, const result<client::dynamic_reply>& one) {
        ++all;
        value::object row{{"item", value(number)}};
        if (one)
          row.push_back({"result", one->result});
        else
          row.push_back({"error", value(value::object{
                                      {"kind", value(std::string(to_string(one.error().kind)))},
                                      {"message", value(one.error().message)}})});
        failed += one ? 0 : 1;
        std::cout << print_json(value(std::move(row))) << '\n';
      });
  std::cout.flush();
  if (!given.quiet) std::cerr << fmt::format("berth: {} items, {} failed\n", all, failed);
  if (interrupted()) return exit_code(kind::cancelled);
  if (bad_line) return *std::move(bad_line);
  return failed == 0 ? 0 : 1;
}

void add_map(command_list& commands, context& with) {
  auto given = std::make_shared<call_flags>();
  auto& app = commands.add("map", "Call a function once for every line of a JSON Lines file",
                           {"berth map digits/classify@prod rows.jsonl > labels.jsonl",
                            "berth map lab/score - --in-flight 256 --unordered < items.jsonl"},
                           [&with, given] { return run_map(with, *given); });
  add_shared_flags(app, *given);
  app.add_option("FILE", given->words,
                 "One item a line: an array of arguments, an object by name, or a single value; - "
                 "for standard input")
      ->required()
      ->expected(1);
  app.add_option("--in-flight", given->in_flight, "Calls under way at once")
      ->capture_default_str()
      ->check(CLI::Range(1, 65536));
  app.add_flag("--unordered", given->unordered, "Print results as they come");
  app.add_flag("-q,--quiet", given->quiet, "No summary on standard error");
}

}  // namespace

void add_calling_commands(command_list& commands, context& with) {
  add_call(commands, with);
  add_map(commands, with);
  add_stream(commands, with);
}

}  // namespace berth::tools
