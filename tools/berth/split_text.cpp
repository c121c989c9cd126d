#include "tools/berth/split_text.hpp"

#include <charconv>
#include <cstdint>
#include <fmt/format.h>

namespace berth::tools {
namespace {

using client::verbs::part;

error_info unreadable(std::string_view piece) {
  return fail(
      kind::invalid, "bad_split",
      fmt::format("'{}' is no share of a split; write @VERSION:PERCENT, as in @7:95,@8:5", piece));
}

// "12.5" as hundredths of a percent.
bool parse_percent(std::string_view text, std::uint32_t& weight) {
  const auto dot = text.find('.');
  std::uint32_t whole = 0;
  const auto head = text.substr(0, dot);
  auto [end, why] = std::from_chars(head.data(), head.data() + head.size(), whole);
  if (why != std::errc() || end != head.data() + head.size() || whole > 100) return false;
  std::uint32_t hundredths = 0;
  if (dot != std::string_view::npos) {
    const auto tail = text.substr(dot + 1);
    if (tail.empty() || tail.size() > 2) return false;
    auto [tail_end, tail_why] = std::from_chars(tail.data(), tail.data() + tail.size(), hundredths);
    if (tail_why != std::errc() || tail_end != tail.data() + tail.size()) return false;
    if (tail.size() == 1) hundredths *= 10;
  }
  weight = whole * 100 + hundredths;
  return true;
}

result<part> parse_part(std::string_view piece, bool alone) {
  std::string_view text = piece;
  if (!text.empty() && text.front() == '@') text.remove_prefix(1);
  const auto colon = text.find(':');
  part one;
  const auto number = text.substr(0, colon);
  auto [end, why] = std::from_chars(number.data(), number.data() + number.size(), one.version);
  if (why != std::errc() || end != number.data() + number.size() || one.version == 0)
    return unreadable(piece);
  if (colon == std::string_view::npos) {
    if (!alone) return unreadable(piece);
    one.weight = 10000;
  } else if (!parse_percent(text.substr(colon + 1), one.weight)) {
    return unreadable(piece);
  }
  return one;
}

}  // namespace

result<std::vector<part>> parse_split(std::string_view text) {
  std::vector<part> split;
  std::uint32_t sum = 0;
  const bool alone = text.find(',') == std::string_view::npos;
  for (std::size_t at = 0; at <= text.size();) {
    const auto comma = std::min(text.find(',', at), text.size());
    auto one = parse_part(text.substr(at, comma - at), alone);
    if (!one) return std::move(one).error();
    sum += one->weight;
    split.push_back(*one);
    at = comma + 1;
  }
  if (sum != 10000)
    return fail(kind::invalid, "bad_split",
                fmt::format("the shares of '{}' add up to {} %, not to 100", text,
                            static_cast<double>(sum) / 100));
  return split;
}

result<client::verbs::flip> parse_flip(const std::string& name, std::string_view text) {
  const auto equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0)
    return fail(kind::invalid, "bad_flip",
                fmt::format("'{}' is no flip; write TAG=@VERSION, as in prod=@8", text));
  auto split = parse_split(text.substr(equals + 1));
  if (!split) return std::move(split).error();
  client::verbs::flip flip;
  flip.name = name;
  flip.tag = std::string(text.substr(0, equals));
  flip.split = *std::move(split);
  return flip;
}

std::string split_text(const std::vector<part>& split) {
  std::string text;
  for (const auto& one : split) {
    if (!text.empty()) text += ", ";
    text += fmt::format("@{}", one.version);
    if (one.weight != 10000 && one.weight != 0)
      text += fmt::format(" {:g} %", static_cast<double>(one.weight) / 100);
  }
  return text.empty() ? "-" : text;
}

}  // namespace berth::tools
