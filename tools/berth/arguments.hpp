#pragma once
// Arguments on the command line: JSON or text, by position or by name, from files or standard input.

#include <berth/error.hpp>
#include <berth/value.hpp>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace berth::tools {

/// The arguments of a call: a list when every word stands alone, an object when every word is NAME=VALUE (NAME a C++
/// identifier). `@file` is what `berth call --out` wrote, JSON, or (when it is neither) bytes; `@-` reads standard
/// input. Errors: `invalid` when both ways are mixed, `missing` for a file that is not there.
result<value> arguments_of(const std::vector<std::string>& words);

/// The command line's words for CLI11, last first. It takes a word like "[1,2]" apart where several words may stand; a JSON
/// array is one argument, so such words of the verbs that call carry a mark, which `arguments_of` takes off.
[[nodiscard]] std::vector<std::string> words_for_parser(int argc, char** argv);

/// "250ms", "5s", "2min", "1h". Errors: `invalid` that says so.
result<std::chrono::nanoseconds> duration_of(std::string_view text);

}  // namespace berth::tools
