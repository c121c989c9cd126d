#pragma once
// One aggregate that holds every supported kind of type, and random instances of it.

#include <array>
#include <berth/as.hpp>
#include <berth/bytes.hpp>
#include <berth/tensor.hpp>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace everything {

enum class color : std::uint8_t { red, green = 7, blue };

enum old_style : int { small = -3, large = 100 };

struct digit {
  int label = 3;
  float confidence = 0;

  friend bool operator==(const digit&, const digit&) = default;
};

struct padded {
  char sign = '+';
  double weight = 1;
  bool known = false;

  friend bool operator==(const padded&, const padded&) = default;
};

struct nothing {
  friend bool operator==(const nothing&, const nothing&) = default;
};

/// A class with private members: travels as two doubles.
class point {
 public:
  point() = default;

  point(double x, double y) : x_(x), y_(y) {}

  [[nodiscard]] double x() const { return x_; }

  [[nodiscard]] double y() const { return y_; }

  friend bool operator==(const point&, const point&) = default;

 private:
  double x_ = 0;
  double y_ = 0;
};

}  // namespace everything

template <>
struct berth::as<everything::point> {
  using wire = std::array<double, 2>;

  static wire to(const everything::point& p) { return {p.x(), p.y()}; }

  static everything::point from(wire w) { return {w[0], w[1]}; }
};

namespace everything {

struct all {
  bool yes = false;
  char letter = 'a';
  signed char i8 = 0;
  unsigned char u8 = 0;
  short i16 = 0;
  unsigned short u16 = 0;
  int i32 = 0;
  unsigned u32 = 0;
  long i64 = 0;
  unsigned long long u64 = 0;
  char8_t c8 = 0;
  char16_t c16 = 0;
  char32_t c32 = 0;
  wchar_t wide = 0;
  float f32 = 0;
  double f64 = 0;
  long double f80 = 0;
  std::byte one_byte{};
  std::string text;
  berth::bytes raw;
  std::vector<float> floats;
  std::vector<bool> bits;
  std::vector<std::string> words;
  std::vector<digit> digits;
  std::vector<padded> paddeds;
  std::vector<std::vector<int>> nested;
  std::deque<short> queue;
  std::set<int> numbers;
  std::array<double, 3> triple{};
  std::array<std::string, 2> pair_of_words;
  float box[2][3] = {};
  std::string names[2];
  std::optional<int> maybe;
  std::optional<std::optional<int>> maybe_maybe;
  std::optional<std::string> maybe_text;
  std::variant<int, std::string, digit> choice;
  std::pair<int, std::string> two;
  std::tuple<bool, double, std::string> three;
  std::map<std::string, int> by_name;
  std::map<int, std::vector<std::string>> by_number;
  std::unordered_map<std::string, digit> unordered;
  color shade = color::red;
  old_style size = small;
  std::chrono::milliseconds pause{};
  std::chrono::duration<double> exact_pause{};
  std::chrono::system_clock::time_point when{};
  std::chrono::time_point<std::chrono::system_clock, std::chrono::seconds> when_s{};
  digit inner;
  padded inner_padded;
  nothing empty;
  std::monostate unit;
  berth::tensor<float> image;
  berth::tensor<bool> mask;
  point where;
  std::optional<point> maybe_where;

  friend bool operator==(const all& a, const all& b);
};

/// Random instances; `depth` of contents is bounded, sizes are mostly small.
class maker {
 public:
  explicit maker(std::uint64_t seed) : random_(seed) {}

  std::size_t size() { return std::uniform_int_distribution<std::size_t>(0, 5)(random_); }

  bool coin() { return random_() % 2 == 0; }

  template <class I>
  I integer() {
    switch (random_() % 4) {
      case 0:
        return static_cast<I>(random_() % 3);
      case 1:
        return std::numeric_limits<I>::max();
      case 2:
        return std::numeric_limits<I>::min();
      default:
        return static_cast<I>(random_());
    }
  }

  double real() {
    switch (random_() % 6) {
      case 0:
        return 0.0;
      case 1:
        return -0.0;
      case 2:
        return std::numeric_limits<double>::infinity();
      case 3:
        return 0.1 * static_cast<double>(random_() % 100);
      case 4:
        return std::numeric_limits<double>::denorm_min();
      default:
        return std::ldexp(static_cast<double>(random_()), static_cast<int>(random_() % 200) - 100);
    }
  }

  std::string text() {
    std::string s;
    for (std::size_t n = size(); n > 0; --n)
      s += random_() % 8 == 0 ? "ü€𝄞"[random_() % 9] : static_cast<char>(random_() % 128);
    return s;
  }

  std::vector<std::string> words() {
    std::vector<std::string> all;
    for (std::size_t n = size(); n > 0; --n)
      all.push_back(text());
    return all;
  }

  digit a_digit() { return {integer<int>(), static_cast<float>(real())}; }

  padded a_padded() { return {integer<char>(), real(), coin()}; }

  all make();

 private:
  std::mt19937_64 random_;
};

inline bool operator==(const all& a, const all& b) {
  const auto key = [](const all& x) {
    return std::tie(x.yes, x.letter, x.i8, x.u8, x.i16, x.u16, x.i32, x.u32, x.i64, x.u64, x.c8,
                    x.c16, x.c32, x.wide, x.f32, x.f64, x.f80, x.one_byte, x.text, x.raw, x.floats,
                    x.bits, x.words, x.digits, x.paddeds, x.nested, x.queue, x.numbers, x.triple,
                    x.pair_of_words, x.maybe, x.maybe_maybe, x.maybe_text, x.choice, x.two, x.three,
                    x.by_name, x.by_number, x.unordered, x.shade, x.size, x.pause, x.exact_pause,
                    x.when, x.when_s, x.inner, x.inner_padded, x.empty, x.image, x.mask, x.where,
                    x.maybe_where);
  };
  return key(a) == key(b) && std::equal(&a.box[0][0], &a.box[0][0] + 6, &b.box[0][0])
         && std::equal(a.names, a.names + 2, b.names);
}

inline all maker::make() {
  all x;
  x.yes = coin();
  x.letter = integer<char>();
  x.i8 = integer<signed char>();
  x.u8 = integer<unsigned char>();
  x.i16 = integer<short>();
  x.u16 = integer<unsigned short>();
  x.i32 = integer<int>();
  x.u32 = integer<unsigned>();
  x.i64 = integer<long>();
  x.u64 = integer<unsigned long long>();
  x.c8 = integer<char8_t>();
  x.c16 = integer<char16_t>();
  x.c32 = integer<char32_t>();
  x.wide = integer<wchar_t>();
  x.f32 = static_cast<float>(real());
  x.f64 = real();
  x.f80 = static_cast<long double>(real()) / 3;
  x.one_byte = integer<std::uint8_t>() > 3 ? std::byte{200} : std::byte{1};
  x.text = text();
  for (std::size_t n = size(); n > 0; --n) {
    x.raw.push_back(static_cast<std::byte>(random_()));
    x.floats.push_back(static_cast<float>(real()));
    x.bits.push_back(coin());
    x.digits.push_back(a_digit());
    x.paddeds.push_back(a_padded());
    x.nested.emplace_back(size(), integer<int>());
    x.queue.push_back(integer<short>());
    x.numbers.insert(integer<int>());
    x.by_name[text()] = integer<int>();
    x.by_number[integer<int>()] = words();
    x.unordered[text()] = a_digit();
  }
  x.words = words();
  x.triple = {real(), real(), real()};
  x.pair_of_words = {text(), text()};
  for (auto& row : x.box)
    for (auto& one : row)
      one = static_cast<float>(real());
  for (auto& one : x.names)
    one = text();
  if (coin()) x.maybe = integer<int>();
  if (coin()) x.maybe_maybe.emplace();
  if (coin()) x.maybe_maybe = std::optional<int>(integer<int>());
  if (coin()) x.maybe_text = text();
  if (coin()) x.choice = text();
  if (coin()) x.choice = a_digit();
  x.two = {integer<int>(), text()};
  x.three = {coin(), real(), text()};
  x.shade = coin() ? color::green : static_cast<color>(99);
  x.size = coin() ? large : small;
  x.pause = std::chrono::milliseconds(integer<std::int64_t>());
  x.exact_pause = std::chrono::duration<double>(real());
  x.when = std::chrono::system_clock::time_point(
      std::chrono::system_clock::duration(integer<std::int64_t>()));
  x.when_s = decltype(x.when_s)(std::chrono::seconds(integer<std::int64_t>()));
  x.inner = a_digit();
  x.inner_padded = a_padded();
  const std::uint64_t rows = size();
  const std::uint64_t columns = size();
  x.image = berth::tensor<float>({rows, columns});
  for (auto& one : x.image.edit())
    one = static_cast<float>(real());
  x.mask = berth::tensor<bool>({columns});
  for (auto& one : x.mask.edit())
    one = coin();
  x.where = {real(), real()};
  if (coin()) x.maybe_where = point(real(), real());
  return x;
}

/// The seed of a random test: printed so that a failure can be replayed with BERTH_SEED.
inline std::uint64_t seed() {
  const char* given = std::getenv("BERTH_SEED");
  return given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

}  // namespace everything
