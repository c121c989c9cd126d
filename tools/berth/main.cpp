// berth: the command line.
#include "tools/berth/arguments.hpp"
#include "tools/berth/command.hpp"
#include "tools/berth/help.hpp"
#include "tools/berth/interrupt.hpp"

#include <berth/version.hpp>
#include <fmt/format.h>
#include <iostream>
#include <unistd.h>

namespace {

using namespace berth::tools;

// What CLI11 refused, with the nearest command when a word was no command at all.
int refuse(const CLI::App& root,
           const command_list& commands,
           const CLI::ParseError& why,
           int argc,
           char** argv) {
  if (why.get_exit_code() == 0) return root.exit(why);  // --help, --version
  std::cerr << "berth: " << why.what() << '\n';
  const auto* command = commands.parsed();
  if (command == nullptr && argc > 1 && argv[1][0] != '-') {
    std::cerr << fmt::format("berth: '{}' is no command\n", argv[1]);
    if (const auto near = nearest_command(commands, argv[1]); !near.empty())
      std::cerr << fmt::format("Did you mean 'berth {}'?\n", near);
  }
  std::cerr << (command == nullptr
                    ? std::string("See berth --help\n")
                    : fmt::format("See berth {} --help\n", command->app->get_name()));
  return 2;
}

berth::result<int> run(const command& what, context& with) {
  try {
    if (auto done = with.load(); !done) return std::move(done).error();
    return what.run();
  } catch (const std::exception& why) {
    return berth::fail(berth::kind::failed, "unexpected", why.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  auto env = berth::base::process_environment();
  context with(env, berth::base::find_folders(env, ::geteuid()));
  CLI::App root(
      "Named, versioned C++ functions: ship them, call them by name, flip what stands behind the "
      "name",
      "berth");
  root.set_version_flag("--version", std::string("berth ") + BERTH_VERSION);
  root.require_subcommand(1);
  root.fallthrough();
  root.add_option("--head", with.head_flag, "The cluster's head: unix:PATH or tcp:127.0.0.1:PORT");
  root.add_option("-o,--output", with.output_flag,
                  "table (for people) or json (stable, for programs)");
  root.footer(examples_text({"berth up", "berth ship hello.cpp --as demo/hello",
                             "berth call demo/hello '\"Ada\"'",
                             "berth tag demo/hello prod=@1 --why first", "berth down"}));
  command_list commands(root);
  add_cluster_commands(commands, with);
  add_shipping_commands(commands, with);
  add_calling_commands(commands, with);
  add_naming_commands(commands, with);
  add_help_commands(commands, root);
  add_simulating_commands(commands, with);

  if (argc >= 2 && std::string(argv[1]) == "__complete")
    return print_completions(commands, with, argc, argv);
  try {
    root.parse(words_for_parser(argc, argv));
  } catch (const CLI::ParseError& why) {
    return refuse(root, commands, why, argc, argv);
  }
  const auto* command = commands.parsed();
  catch_interrupts();
  const auto code = run(*command, with);
  if (code) return *code;
  std::cerr << "berth: " << code.error().to_string() << '\n';
  return interrupted() ? berth::exit_code(berth::kind::cancelled)
                       : berth::exit_code(code.error().kind);
}
