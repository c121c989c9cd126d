#include "tools/berth/help.hpp"

#include "registry/ref.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <set>

namespace berth::tools {
namespace {

// Commands whose first positional argument is a name in the registry.
const std::set<std::string> naming{"call",     "map",   "stream",  "describe", "tag",
                                   "rollback", "yank",  "ls",      "history",  "watch",
                                   "logs",     "stats", "restart", "ps"};

std::string roff(std::string_view text) {
  std::string safe;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) safe += "\\&";
    if (c == '\\')
      safe += "\\\\";
    else if (c == '-')
      safe += "\\-";
    else
      safe += c;
    line_start = c == '\n';
  }
  return safe;
}

std::string option_rows(const CLI::App& app) {
  std::string rows;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    const std::string value =
        option->get_type_name().empty() || option->get_items_expected_max() == 0
            ? std::string()
            : " " + option->get_type_name();
    rows += fmt::format(".TP\n.B {}{}\n{}\n", roff(option->get_name(false, true)), roff(value),
                        roff(option->get_description()));
  }
  return rows;
}

std::string usage_of(const CLI::App& app) {
  std::string usage = app.get_name() + " [options]";
  for (const CLI::Option* option : app.get_options())
    if (option->get_positional())
      usage += option->get_required() ? fmt::format(" {}", option->get_name())
                                      : fmt::format(" [{}]", option->get_name());
  return usage;
}

}  // namespace

std::string examples_text(const std::vector<std::string>& examples) {
  if (examples.empty()) return {};
  std::string text = "Examples:\n";
  for (const auto& one : examples)
    text += "  " + one + "\n";
  return text;
}

std::string man_page(const command& one) {
  const auto& app = *one.app;
  std::string page =
      fmt::format(".TH BERTH-{} 1 \"\" \"berth\" \"berth\"\n.SH NAME\nberth-{} \\- {}\n",
                  app.get_name(), app.get_name(), roff(app.get_description()));
  page += fmt::format(".SH SYNOPSIS\n.B berth {}\n.SH OPTIONS\n{}", roff(usage_of(app)),
                      option_rows(app));
  if (!one.examples.empty()) {
    page += ".SH EXAMPLES\n";
    for (const auto& example : one.examples)
      page += fmt::format(".nf\n{}\n.fi\n", roff(example));
  }
  page += ".SH SEE ALSO\n.BR berth (1)\n";
  return page;
}

std::string man_page(const CLI::App& root, const command_list& commands) {
  std::string page = fmt::format(".TH BERTH 1 \"\" \"berth\" \"berth\"\n.SH NAME\nberth \\- {}\n",
                                 roff(root.get_description()));
  page += ".SH SYNOPSIS\n.B berth\nCOMMAND [options]\n.SH OPTIONS\n" + option_rows(root)
          + ".SH COMMANDS\n";
  for (const auto& one : commands.all())
    if (!one.app->get_group().empty())
      page += fmt::format(".TP\n.BR berth\\-{} (1)\n{}\n", one.app->get_name(),
                          roff(one.app->get_description()));
  page +=
      ".SH EXIT STATUS\n0 done; 1 the function said no; 2 fix the call; 3 no such thing; 4 denied; "
      "5 unavailable or timed"
      " out; 6 conflict; 7 overloaded; 130 interrupted.\n";
  return page;
}

result<void> write_man_pages(const CLI::App& root,
                             const command_list& commands,
                             const std::filesystem::path& folder) {
  std::error_code why;
  std::filesystem::create_directories(folder, why);
  auto write = [&](const std::string& leaf, const std::string& page) -> result<void> {
    std::ofstream out(folder / leaf, std::ios::binary);
    out << page;
    out.close();
    if (!out)
      return fail(kind::failed, "not_written",
                  fmt::format("cannot write {}", (folder / leaf).string()));
    return {};
  };
  if (auto done = write("berth.1", man_page(root, commands)); !done) return done;
  for (const auto& one : commands.all())
    if (!one.app->get_group().empty())
      if (auto done = write(fmt::format("berth-{}.1", one.app->get_name()), man_page(one)); !done)
        return done;
  return {};
}

result<std::string> completion_script(const std::string& shell) {
  if (shell == "bash")
    return std::string(
        "# Words are taken from the line: bash cuts them at @, : and =, of which refs are full.\n"
        "_berth() {\n"
        "  local line=${COMP_LINE:0:COMP_POINT} words current rest mark IFS=$' \\t\\n'\n"
        "  read -ra words <<<\"$line\"\n"
        "  [[ $line == *[[:space:]] ]] && words+=(\"\")\n"
        "  current=${words[${#words[@]}-1]} rest=$current\n"
        "  for mark in @ : =; do\n"
        "    [[ $COMP_WORDBREAKS == *\"$mark\"* ]] && rest=${rest##*\"$mark\"}\n"
        "  done\n"
        "  IFS=$'\\n' COMPREPLY=($(berth __complete \"${words[@]}\" 2>/dev/null))\n"
        "  COMPREPLY=(\"${COMPREPLY[@]#\"${current%\"$rest\"}\"}\")\n"
        "  [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == */ ]] && compopt -o nospace\n"
        "}\n"
        "complete -o default -F _berth berth\n");
  if (shell == "zsh")
    return std::string(
        "#compdef berth\n"
        "_berth() {\n"
        "  local -a found\n"
        "  found=(\"${(@f)$(berth __complete \"${words[@]:0:$CURRENT}\" 2>/dev/null)}\")\n"
        "  if (( ${#found} )) && [[ -n ${found[1]} ]]; then compadd -a found; else _files; fi\n"
        "}\n"
        "compdef _berth berth\n");
  if (shell == "fish")
    return std::string(
        "function __berth_complete\n"
        "  set -l words (commandline -opc) (commandline -ct)\n"
        "  berth __complete $words 2>/dev/null\n"
        "end\n"
        "complete -c berth -a '(__berth_complete)'\n");
  return fail(kind::invalid, "unknown_shell",
              fmt::format("there is no completion for '{}'; shells are bash, zsh, fish", shell));
}

std::vector<std::string> complete(
    const command_list& commands,
    const std::vector<std::string>& words,
    const std::function<std::vector<std::string>(const std::string&)>& names) {
  std::vector<std::string> found;
  const std::string last = words.size() < 2 ? "" : words.back();
  auto offer = [&](const std::string& candidate) {
    if (candidate.rfind(last, 0) == 0) found.push_back(candidate);
  };
  if (words.size() <= 2) {
    for (const auto& one : commands.all())
      if (!one.app->get_group().empty()) offer(one.app->get_name());
    return found;
  }
  if (const auto& before = words[words.size() - 2]; before == "-o" || before == "--output") {
    for (const char* output : {"table", "json"})
      offer(output);
    return found;
  }
  for (const auto& one : commands.all()) {
    if (one.app->get_name() != words[1]) continue;
    if (last.rfind("-", 0) == 0) {
      for (const CLI::Option* option : one.app->get_options()) {
        for (const auto& name : option->get_lnames())
          offer("--" + name);
        for (const auto& name : option->get_snames())
          offer("-" + name);
      }
    } else if (words[1] == "completion") {
      for (const char* shell : {"bash", "fish", "zsh"})
        offer(shell);
    } else if (naming.count(words[1]) != 0) {
      for (const auto& name : names(last))
        offer(name);
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string nearest_command(const command_list& commands, const std::string& word) {
  std::vector<std::string> names;
  for (const auto& one : commands.all())
    if (!one.app->get_group().empty()) names.push_back(one.app->get_name());
  std::vector<std::string_view> views(names.begin(), names.end());
  return registry::nearest(word, views);
}

}  // namespace berth::tools
