#include "runtime/value/text.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>

namespace berth::detail {
namespace {

constexpr std::string_view digits64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr auto values64 = [] {
  std::array<std::int8_t, 256> all{};
  all.fill(-1);
  for (std::size_t i = 0; i < digits64.size(); ++i)
    all[static_cast<unsigned char>(digits64[i])] = static_cast<std::int8_t>(i);
  return all;
}();

/// Length of the well-formed sequence at the front of `rest`, 0 when there is none.
std::size_t utf8_length(std::string_view rest) noexcept {
  const auto at = [&](std::size_t i) {
    return i < rest.size() ? static_cast<unsigned char>(rest[i]) : 0U;
  };
  const auto follows = [&](std::size_t i) { return (at(i) & 0xC0) == 0x80; };
  const unsigned a = at(0);
  if (a < 0x80) return 1;
  if (a >= 0xC2 && a <= 0xDF) return follows(1) ? 2 : 0;
  if (a >= 0xE0 && a <= 0xEF) {
    if (!follows(1) || !follows(2)) return 0;
    if (a == 0xE0 && at(1) < 0xA0) return 0;   // longer than needed
    if (a == 0xED && at(1) >= 0xA0) return 0;  // surrogate
    return 3;
  }
  if (a >= 0xF0 && a <= 0xF4) {
    if (!follows(1) || !follows(2) || !follows(3)) return 0;
    if (a == 0xF0 && at(1) < 0x90) return 0;
    if (a == 0xF4 && at(1) >= 0x90) return 0;  // beyond U+10FFFF
    return 4;
  }
  return 0;
}

template <class T>
std::string print_any(T x) {
  if (std::isnan(x)) return "NaN";
  if (std::isinf(x)) return x > 0 ? "Infinity" : "-Infinity";
  std::array<char, 64> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), x).ptr;
  return {text.data(), end};
}

template <class T>
std::optional<T> parse_any(std::string_view text) {
  if (text == "NaN") return std::numeric_limits<T>::quiet_NaN();
  if (text == "Infinity") return std::numeric_limits<T>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<T>::infinity();
  const std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
  if (digits.empty() || digits.front() < '0' || digits.front() > '9') return std::nullopt;
  T x = 0;
  const auto [end, why] = std::from_chars(text.data(), text.data() + text.size(), x);
  if (why == std::errc::result_out_of_range) {
    // Too large or too small for T: infinity or zero, as IEEE rounds. The exponent's sign tells which.
    const bool tiny = text.find("e-") != text.npos || text.find("E-") != text.npos
                      || text.find_first_of("eE") == text.npos;
    x = tiny ? T{0} : std::numeric_limits<T>::infinity();
    return text.front() == '-' ? -x : x;
  }
  if (why != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return x;
}

}  // namespace

std::string to_base64(std::span<const std::byte> from) {
  std::string text;
  text.reserve((from.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < from.size(); i += 3) {
    const std::size_t have = std::min<std::size_t>(3, from.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (k < have ? std::to_integer<std::uint32_t>(from[i + k]) : 0);
    for (std::size_t k = 0; k < 4; ++k)
      text += k <= have ? digits64[group >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

std::optional<bytes> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  bytes out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    const std::size_t pad = !last || text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const int digit = k < 4 - pad ? values64[static_cast<unsigned char>(text[i + k])] : 0;
      if (digit < 0) return std::nullopt;
      group = group << 6 | static_cast<std::uint32_t>(digit);
    }
    for (std::size_t k = 0; k < 3 - pad; ++k)
      out.push_back(static_cast<std::byte>(group >> (16 - 8 * k)));
  }
  return out;
}

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t n = utf8_length(text);
    if (n == 0) return false;
    text.remove_prefix(n);
  }
  return true;
}

std::string print_number(double x) {
  return print_any(x);
}

std::optional<double> parse_number(std::string_view text) {
  return parse_any<double>(text);
}

std::string print_number(long double x) {
  return print_any(x);
}

std::optional<long double> parse_long_number(std::string_view text) {
  return parse_any<long double>(text);
}

double widened(float x) {
  if (!std::isfinite(x)) return x;
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), x).ptr;
  double y = 0;
  std::from_chars(text.data(), end, y);
  return y;
}

}  // namespace berth::detail
