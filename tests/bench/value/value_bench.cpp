// What encoding costs, beside the floor of copying the same bytes. None has a bar: the call rows hold the sum of them.

#include "tests/bench/support/settings.hpp"

#include <berth/value.hpp>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace berth::bench {
namespace {

using call = codec::pack<double, double, std::string_view>;
using texts = std::vector<std::string>;
constexpr std::size_t call_bytes = 32;

/// The compiler has to have `what` in memory here, and to believe that it changed.
template <class T>
void keep(T& what) {
  asm volatile("" : : "r"(&what) : "memory");
}

/// Nanoseconds a turn of `one`: enough turns for the clock, the median of some batches.
template <class One>
double turn_ns(const settings& how, One&& one) {
  constexpr int turns = 10'000;
  std::vector<double> batches;
  for (int batch = 0; batch < (how.quick ? 5 : 25); ++batch) {
    const double from = now_s();
    for (int i = 0; i < turns; ++i)
      one();
    batches.push_back((now_s() - from) * 1e9 / turns);
  }
  return median(std::move(batches));
}

struct frame {
  alignas(8) std::byte block[8192];
  std::vector<external> externals;
};

struct digit {
  int label = 0;
  float confidence = 0;
  std::string note;
};

class value_figures {
 public:
  explicit value_figures(const settings& how) : how_(how) {}

  void run() {
    two_numbers_and_a_text();
    hundred_texts();
    thousand_floats();
    json();
  }

 private:
  template <class Ours>
  void beside_a_copy(const char* id, const char* what, std::size_t bytes, Ours&& ours) {
    if (!how_.wants(id)) return;
    row r = row_of(id, what, "ns", "");
    static frame from, to;
    take_pairs(
        r, how_.rounds, {},
        [&] {
          return turn_ns(how_, [&] {
            keep(from);
            std::memcpy(to.block, from.block, bytes);
            keep(to);
          });
        },
        [&] { return turn_ns(how_, ours); });
    r.note = "floor: a copy of " + std::to_string(bytes) + " bytes";
    print(r);
  }

  void two_numbers_and_a_text() {
    frame made;
    double a = 3.5;
    double b = 4.5;
    std::string_view text = "hello";
    beside_a_copy("value.write.call", "two numbers and a text written", call_bytes, [&] {
      keep(a);
      keep(text);
      auto plan = call::measure(a, b, text);
      keep(plan);
      call::write(made.block, made.externals, a, b, text);
      keep(made);
    });
    call::write(made.block, made.externals, a, b, text);
    beside_a_copy("value.read.call", "two numbers and a text read", call_bytes, [&] {
      keep(made);
      call::decoded in;
      expect(in.read({{made.block, call_bytes}, {}}) == codec::flaw::none,
             "a block of ours cannot be read");
      keep(in);
    });
  }

  void hundred_texts() {
    using pack = codec::pack<const texts&>;
    frame made;
    texts words(100, "some words");
    const auto bytes = pack::measure(words).bytes;
    beside_a_copy("value.write.texts", "100 texts written", bytes, [&] {
      keep(words);
      auto plan = pack::measure(words);
      keep(plan);
      pack::write(made.block, made.externals, words);
      keep(made);
    });
    pack::write(made.block, made.externals, words);
    pack::decoded in;
    beside_a_copy("value.read.texts", "100 texts read into the same vector", bytes, [&] {
      keep(made);
      expect(in.read({{made.block, bytes}, {}}) == codec::flaw::none,
             "a block of ours cannot be read");
      keep(in);
    });
  }

  void thousand_floats() {
    using pack = codec::pack<std::span<const float>>;
    frame made;
    const std::vector<float> floats(1000, 1.5F);
    const auto bytes = pack::measure(floats).bytes;
    beside_a_copy("value.floats", "1000 floats written, and read as a view", bytes, [&] {
      pack::write(made.block, made.externals, floats);
      keep(made);
      pack::decoded in;
      expect(in.read({{made.block, bytes}, {}}) == codec::flaw::none,
             "a block of ours cannot be read");
      keep(in);
    });
  }

  void json() {
    if (!how_.wants("value.json")) return;
    row r = row_of("value.json", "JSON of a small aggregate to its hot block", "ns", "");
    const auto& shape = shape_of<digit>();
    std::vector<double> taken;
    for (int round = 0; round < how_.rounds; ++round)
      taken.push_back(turn_ns(how_, [&] {
        auto block =
            encode_hot(shape, *parse_json(R"({"label": 7, "confidence": 0.5, "note": "hi"})"));
        keep(block);
      }));
    print(judge_absolute(r, taken));
  }

  const settings how_;
};

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) {
  berth::bench::value_figures(berth::bench::read_settings(argc, argv)).run();
  return 0;
}
