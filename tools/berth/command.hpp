#pragma once
// Commands: what every verb of `berth` shares: its examples, its output format, its way to the head and its exit code.

#include "runtime/base/config.hpp"
#include "runtime/client/head_link.hpp"
#include "runtime/client/session.hpp"

#include <CLI/CLI.hpp>
#include <berth/error.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace berth::tools {

enum class format { table, json };

/// What a command runs with. Made by `main`, lives as long as the program.
class context {
 public:
  context(base::environment env, base::folders folders)
      : env(std::move(env)), where(std::move(folders)) {}

  base::environment env;
  base::folders where;
  std::string head_flag;    ///< --head
  std::string output_flag;  ///< -o
  base::config settings;

  /// Reads configuration and applies the flags; called once, before a command runs.
  result<void> load();
  [[nodiscard]] format output() const;
  /// The connection to the running cluster's head, made on first use. Errors: `disconnected` that says how to start
  /// one.
  result<client::head_link*> cluster();
  /// The session calls go through, over the same cluster.
  result<std::shared_ptr<client::session>> session();

 private:
  result<void> connect();
  std::shared_ptr<net::driver> driver_;
  std::shared_ptr<client::head_link> head_;
  std::shared_ptr<client::session> session_;
};

/// One command of the program. `run` returns the exit code or an error, which `main` prints and turns into one.
struct command {
  CLI::App* app = nullptr;
  std::function<result<int>()> run;
  std::vector<std::string> examples;
};

/// The commands in the order of the help page.
class command_list {
 public:
  explicit command_list(CLI::App& root) : root_(root) {}

  /// Adds a sub-command with one line of description, examples ("berth ls lab/") and what it does.
  CLI::App& add(const std::string& name,
                const std::string& description,
                std::vector<std::string> examples,
                std::function<result<int>()> run);

  [[nodiscard]] const std::vector<command>& all() const noexcept { return commands_; }

  /// The command that was given, or nothing.
  [[nodiscard]] const command* parsed() const;

 private:
  CLI::App& root_;
  std::vector<command> commands_;
};

void add_cluster_commands(command_list& commands,
                          context& with);  ///< up, down, status, ps, stats, logs, config
void add_naming_commands(command_list& commands,
                         context& with);  ///< ls, describe, tag, rollback, yank, history, watch
void add_shipping_commands(command_list& commands, context& with);     ///< ship, dev, restart
void add_calling_commands(command_list& commands, context& with);      ///< call, map, stream
void add_simulating_commands(command_list& commands, context& with);   ///< simulate
void add_help_commands(command_list& commands, const CLI::App& root);  ///< completion, man
/// The hidden `__complete`: prints the candidates for the last word, one a line.
int print_completions(const command_list& commands, context& with, int argc, char** argv);

}  // namespace berth::tools
