// What encoding costs, beside the floor of copying the same bytes. Run a Release build: value_bench.
//
// Compare ratios within one run; absolute times move with the machine.
#include <benchmark/benchmark.h>
#include <berth/value.hpp>
#include <cstring>
#include <string>
#include <vector>

namespace {

using call = berth::codec::pack<double, double, std::string_view>;
constexpr std::size_t call_bytes = 32;

struct frame {
  alignas(8) std::byte block[4096];
  std::vector<berth::external> externals;
};

void floor_copy_32_bytes(benchmark::State& state) {
  alignas(8) std::byte from[call_bytes] = {};
  frame to;
  for (auto _ : state) {
    benchmark::DoNotOptimize(from);
    std::memcpy(to.block, from, call_bytes);
    benchmark::DoNotOptimize(to.block);
    benchmark::ClobberMemory();
  }
}

void write_two_numbers_and_a_text(benchmark::State& state) {
  frame to;
  double a = 3.5;
  double b = 4.5;
  std::string_view text = "hello";
  for (auto _ : state) {
    benchmark::DoNotOptimize(a);
    benchmark::DoNotOptimize(text);
    const auto plan = call::measure(a, b, text);
    benchmark::DoNotOptimize(plan);
    call::write(to.block, to.externals, a, b, text);
    benchmark::ClobberMemory();
  }
}

void read_two_numbers_and_a_text(benchmark::State& state) {
  frame from;
  call::write(from.block, from.externals, 3.5, 4.5, "hello");
  for (auto _ : state) {
    benchmark::ClobberMemory();
    call::decoded in;
    const auto flaw = in.read({{from.block, call_bytes}, {}});
    benchmark::DoNotOptimize(flaw);
    benchmark::DoNotOptimize(in.values());
  }
}

using texts = std::vector<std::string>;

void write_100_texts(benchmark::State& state) {
  frame to;
  const texts words(100, "some words");
  for (auto _ : state) {
    benchmark::DoNotOptimize(berth::codec::pack<const texts&>::measure(words));
    berth::codec::pack<const texts&>::write(to.block, to.externals, words);
    benchmark::ClobberMemory();
  }
}

void read_100_texts_into_the_same_vector(benchmark::State& state) {
  frame from;
  const texts words(100, "some words");
  const auto plan = berth::codec::pack<const texts&>::measure(words);
  berth::codec::pack<const texts&>::write(from.block, from.externals, words);
  berth::codec::pack<const texts&>::decoded in;
  for (auto _ : state) {
    benchmark::ClobberMemory();
    benchmark::DoNotOptimize(in.read({{from.block, plan.bytes}, {}}));
  }
}

void floor_copy_4000_bytes(benchmark::State& state) {
  frame from;
  frame to;
  for (auto _ : state) {
    benchmark::ClobberMemory();
    std::memcpy(to.block, from.block, 4000);
    benchmark::DoNotOptimize(to.block);
  }
}

void write_and_read_1000_floats(benchmark::State& state) {
  frame both;
  const std::vector<float> floats(1000, 1.5F);
  using pack = berth::codec::pack<std::span<const float>>;
  const auto plan = pack::measure(floats);
  for (auto _ : state) {
    pack::write(both.block, both.externals, floats);
    benchmark::ClobberMemory();
    pack::decoded in;
    benchmark::DoNotOptimize(in.read({{both.block, plan.bytes}, {}}));
  }
}

struct digit {
  int label = 0;
  float confidence = 0;
  std::string note;
};

void json_to_hot_block(benchmark::State& state) {
  const auto& shape = berth::shape_of<digit>();
  for (auto _ : state)
    benchmark::DoNotOptimize(berth::encode_hot(
        shape, *berth::parse_json(R"({"label": 7, "confidence": 0.5, "note": "hi"})")));
}

BENCHMARK(floor_copy_32_bytes);
BENCHMARK(write_two_numbers_and_a_text);
BENCHMARK(read_two_numbers_and_a_text);
BENCHMARK(write_100_texts);
BENCHMARK(read_100_texts_into_the_same_vector);
BENCHMARK(floor_copy_4000_bytes);
BENCHMARK(write_and_read_1000_floats);
BENCHMARK(json_to_hot_block);

}  // namespace

BENCHMARK_MAIN();
