#include "tools/berth/arguments.hpp"

#include "runtime/module/saved_value.hpp"

#include <cctype>
#include <charconv>
#include <fmt/format.h>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>

namespace berth::tools {
namespace {

constexpr char array_mark = '\x1f';

// NAME of NAME=VALUE, when NAME is an identifier.
std::optional<std::string> name_of(const std::string& word) {
  const auto equals = word.find('=');
  if (equals == std::string::npos || equals == 0) return std::nullopt;
  for (std::size_t i = 0; i < equals; ++i) {
    const auto c = static_cast<unsigned char>(word[i]);
    if (std::isalpha(c) == 0 && c != '_' && (i == 0 || std::isdigit(c) == 0)) return std::nullopt;
  }
  return word.substr(0, equals);
}

result<value> file_value(const std::string& path) {
  std::string text;
  if (path == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    std::ifstream in(path, std::ios::binary);
    if (!in) return fail(kind::missing, "no_file", fmt::format("cannot read {}", path));
    text.assign(std::istreambuf_iterator<char>(in), {});
  }
  if (module::is_saved_value(text)) {
    auto file = module::parse_saved(text);
    if (!file) return std::move(file).error().at("while reading " + path);
    // A block is read where it is aligned: a vector's bytes are, a string's need not be.
    const auto* first = reinterpret_cast<const std::byte*>(file->block.data());
    const bytes block(first, first + file->block.size());
    auto decoded = decode_hot(file->shape, {block, {}});
    if (!decoded) return std::move(decoded).error().at("while reading " + path);
    return *std::move(decoded);
  }
  if (auto parsed = parse_json(text)) return *std::move(parsed);
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return value(bytes(first, first + text.size()));
}

// A word that begins like JSON and is none is a slip: as text it would only fail later, and less clearly.
result<value> json_or_text(const std::string& word) {
  if (!word.starts_with('{') && !word.starts_with('[') && !word.starts_with('"'))
    return parse_word(word);
  auto read = parse_json(word);
  if (!read)
    return std::move(read).error().at(
        "while reading an argument as JSON; a text that begins like this stands in '\"…\"'");
  return read;
}

result<value> word_value(const std::string& word) {
  if (!word.empty() && word.front() == array_mark) return json_or_text(word.substr(1));
  if (word.size() > 1 && word.front() == '@') return file_value(word.substr(1));
  return json_or_text(word);
}

}  // namespace

result<value> arguments_of(const std::vector<std::string>& words) {
  value::list by_position;
  value::object by_name;
  for (const auto& word : words) {
    const auto name = name_of(word);
    auto one = word_value(name ? word.substr(name->size() + 1) : word);
    if (!one) return std::move(one).error();
    if (name)
      by_name.push_back({*name, *std::move(one)});
    else
      by_position.push_back(*std::move(one));
  }
  if (!by_name.empty() && !by_position.empty())
    return fail(kind::invalid, "mixed_arguments",
                "give all arguments by position, or all as NAME=VALUE");
  if (!by_name.empty()) return value(std::move(by_name));
  return value(std::move(by_position));
}

std::vector<std::string> words_for_parser(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  const bool calls = verb == "call" || verb == "stream";
  std::vector<std::string> words;
  for (int i = argc - 1; i > 0; --i) {
    std::string word = argv[i];
    if (calls && word.size() > 1 && word.front() == '[' && word.back() == ']')
      word.insert(word.begin(), array_mark);
    words.push_back(std::move(word));
  }
  return words;
}

result<std::chrono::nanoseconds> duration_of(std::string_view text) {
  double number = 0;
  const auto [end, why] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  double scale = 0;
  if (unit == "us")
    scale = 1e3;
  else if (unit == "ms")
    scale = 1e6;
  else if (unit == "s")
    scale = 1e9;
  else if (unit == "min")
    scale = 60e9;
  else if (unit == "h")
    scale = 3600e9;
  if (why != std::errc() || scale == 0 || !(number >= 0) || number * scale > 9e18)
    return fail(kind::invalid, "bad_duration",
                fmt::format("'{}' is no duration; write 250ms, 5s, 2min or 1h", text));
  return std::chrono::nanoseconds(static_cast<std::int64_t>(number * scale));
}

}  // namespace berth::tools
