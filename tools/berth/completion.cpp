// completion, man and the hidden __complete: what shells and the installation ask of the command line.
#include "tools/berth/help.hpp"
#include "tools/berth/print.hpp"

#include <iostream>

namespace berth::tools {
namespace {

namespace verbs = client::verbs;

void add_completion(command_list& commands) {
  auto shell = std::make_shared<std::string>();
  auto& app = commands.add("completion", "Print a completion script for bash, zsh or fish",
                           {"source <(berth completion bash)",
                            "berth completion fish > ~/.config/fish/completions/berth.fish"},
                           [shell]() -> result<int> {
                             auto script = completion_script(*shell);
                             if (!script) return std::move(script).error();
                             std::cout << *script;
                             return 0;
                           });
  app.add_option("SHELL", *shell, "bash, zsh or fish")->required();
}

void add_man(command_list& commands, const CLI::App& root) {
  auto folder = std::make_shared<std::string>();
  auto& app = commands.add("man", "Write the man pages into a folder", {"berth man share/man/man1"},
                           [folder, &commands, &root]() -> result<int> {
                             auto wrote = write_man_pages(root, commands, *folder);
                             if (!wrote) return std::move(wrote).error();
                             return 0;
                           });
  app.add_option("FOLDER", *folder, "Where berth.1 and berth-<command>.1 go")->required();
  app.group("");  // for the installation, not for people
}

// Names of the running cluster that begin with `prefix`, and, behind an '@', the tags of that name.
std::vector<std::string> names_like(context& with, const std::string& prefix) {
  std::vector<std::string> found;
  if (!with.load()) return found;
  auto to = with.cluster();
  if (!to) return found;
  const auto at = prefix.find('@');
  auto names = (*to)->ask<verbs::names>(verbs::ls{prefix.substr(0, at)}, std::chrono::seconds(1));
  if (!names) return found;
  for (const auto& one : names->rows) {
    if (at == std::string::npos)
      found.push_back(one.name);
    else
      for (const auto& tag : one.tags)
        found.push_back(one.name + "@" + tag.tag);
  }
  return found;
}

}  // namespace

void add_help_commands(command_list& commands, const CLI::App& root) {
  add_completion(commands);
  add_man(commands, root);
}

int print_completions(const command_list& commands, context& with, int argc, char** argv) {
  const std::vector<std::string> words(argv + 2, argv + argc);
  for (const auto& one : complete(
           commands, words, [&](const std::string& prefix) { return names_like(with, prefix); }))
    std::cout << one << '\n';
  return 0;
}

}  // namespace berth::tools
