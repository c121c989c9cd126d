#pragma once
// Help: examples in every `--help`, man pages and shell completion, all made from the one list of commands.

#include "tools/berth/command.hpp"

#include <filesystem>
#include <string>

namespace berth::tools {

/// The text under "Examples:" of a command's help; empty for none.
[[nodiscard]] std::string examples_text(const std::vector<std::string>& examples);

/// The man page (troff, section 1) of one command.
[[nodiscard]] std::string man_page(const command& one);
/// The man page of the program itself.
[[nodiscard]] std::string man_page(const CLI::App& root, const command_list& commands);
/// Writes `berth.1` and `berth-<command>.1` into `folder`. Errors: `failed` with the system's reason.
result<void> write_man_pages(const CLI::App& root,
                             const command_list& commands,
                             const std::filesystem::path& folder);

/// The completion script for "bash", "zsh" or "fish". Errors: `invalid` for another shell.
result<std::string> completion_script(const std::string& shell);
/// Candidates for the last of `words` (what the shell has so far, the program's name first): commands, options, and
/// names of the running cluster, which `names` supplies for a prefix.
[[nodiscard]] std::vector<std::string> complete(
    const command_list& commands,
    const std::vector<std::string>& words,
    const std::function<std::vector<std::string>(const std::string& prefix)>& names);

/// "did you mean": the command nearest to a mistyped word, or an empty text.
[[nodiscard]] std::string nearest_command(const command_list& commands, const std::string& word);

}  // namespace berth::tools
