#include "tests/value/everything.hpp"

#include <berth/codec.hpp>
#include <berth/value.hpp>
#include <gtest/gtest.h>

namespace {

using berth::codec::flaw;
using everything::all;

berth::bytes block_of(std::initializer_list<unsigned> from) {
  berth::bytes b;
  for (const unsigned one : from)
    b.push_back(static_cast<std::byte>(one));
  return b;
}

template <class T>
T round_trip(const T& x) {
  std::vector<berth::external> externals;
  const auto block = berth::codec::encode(externals, x);
  return berth::codec::read<T>({block, externals}).value();
}

TEST(codec, lays_two_numbers_and_a_text_out_as_the_protocol_book_says) {
  using pack = berth::codec::pack<double, int, std::string_view>;
  std::vector<berth::external> externals;
  berth::bytes block(pack::measure(1.5, -2, "hello").bytes);
  pack::write(block.data(), externals, 1.5, -2, "hello");
  EXPECT_EQ(
      block,
      block_of({0,    0,    0,    0,    0,   0, 0xF8, 0x3F,  // 1.5
                0xFE, 0xFF, 0xFF, 0xFF, 24,  0, 0,    0,     // -2; the text's offset
                5,    0,    0,    0,    0,   0, 0,    0,  // its length; padding of the fixed part
                'h',  'e',  'l',  'l',  'o', 0, 0,    0}));
  EXPECT_TRUE(externals.empty());
}

TEST(codec, golden_blocks_of_compounds_stay_as_they_are) {
  std::vector<berth::external> none;
  EXPECT_EQ(berth::codec::encode(none, std::optional<int>(7)), block_of({1, 0, 0, 0, 7, 0, 0, 0}));
  EXPECT_EQ(berth::codec::encode(none, std::variant<int, bool>(true)),
            block_of({1, 0, 0, 0, 1, 0, 0, 0}));
  EXPECT_EQ(berth::codec::encode(none, std::pair<char, short>('x', 258)),
            block_of({'x', 0, 2, 1, 0, 0, 0, 0}));
  EXPECT_EQ(berth::codec::encode(none, std::vector<std::string>{"a", "bc"}),
            block_of({8,  0, 0, 0, 2, 0, 0, 0, 24,  0,   0,   0, 1, 0, 0, 0,  //
                      25, 0, 0, 0, 2, 0, 0, 0, 'a', 'b', 'c', 0, 0, 0, 0, 0}));
  EXPECT_EQ(berth::codec::encode(none, std::map<std::string, bool>{{"k", true}}),
            block_of({8, 0, 0, 0, 1, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 'k', 0, 0, 0}));
  EXPECT_EQ(berth::codec::encode(
                none, berth::tensor<std::uint8_t>({1, 2}, std::vector<std::uint8_t>{8, 9})),
            block_of({16, 0, 0, 0, 2, 0, 0, 0, 32, 0, 0, 0, 2, 0, 0, 0,  //
                      1,  0, 0, 0, 0, 0, 0, 0, 2,  0, 0, 0, 0, 0, 0, 0, 8, 9, 0, 0, 0, 0, 0, 0}));
}

TEST(codec, brings_random_values_of_every_type_back_as_they_were) {
  const auto seed = everything::seed();
  SCOPED_TRACE("BERTH_SEED=" + std::to_string(seed));
  everything::maker make(seed);
  for (int i = 0; i < 200; ++i) {
    const all x = make.make();
    ASSERT_EQ(round_trip(x), x);
  }
}

TEST(codec, size_of_fixed_types_is_known_when_compiling) {
  using pack = berth::codec::pack<double, everything::digit, const std::array<int, 3>&>;
  static_assert(pack::fixed);
  static_assert(pack::measure(1.0, {}, {}).bytes == 32);
  static_assert(!berth::codec::pack<std::string>::fixed);
}

TEST(codec, text_and_span_parameters_point_into_the_block) {
  using pack =
      berth::codec::pack<std::string_view, std::span<const float>, const std::vector<int>&>;
  const std::vector<float> floats{1, 2, 3};
  std::vector<berth::external> externals;
  berth::bytes block(pack::measure("text", floats, {7}).bytes);
  pack::write(block.data(), externals, "text", floats, {7});
  pack::decoded in;
  ASSERT_EQ(in.read({block, externals}), flaw::none);
  in.apply([&](std::string_view text, std::span<const float> view, const std::vector<int>& ints) {
    EXPECT_EQ(text, "text");
    EXPECT_GE(reinterpret_cast<const std::byte*>(text.data()), block.data());
    EXPECT_LT(reinterpret_cast<const std::byte*>(view.data()), block.data() + block.size());
    EXPECT_EQ(std::vector<float>(view.begin(), view.end()), floats);
    EXPECT_EQ(ints, std::vector<int>{7});
  });
}

TEST(codec, a_span_of_texts_is_kept_as_a_vector_while_the_call_runs) {
  using pack = berth::codec::pack<std::span<const std::string>>;
  const std::vector<std::string> words{"a", "b"};
  std::vector<berth::external> externals;
  berth::bytes block(pack::measure(words).bytes);
  pack::write(block.data(), externals, words);
  pack::decoded in;
  ASSERT_EQ(in.read({block, externals}), flaw::none);
  in.apply([&](std::span<const std::string> view) {
    EXPECT_EQ(std::vector<std::string>(view.begin(), view.end()), words);
  });
}

TEST(codec, tails_of_64_kib_stand_beside_the_block_and_shorter_ones_within) {
  std::vector<berth::external> externals;
  const std::vector<float> large(16 * 1024, 2.5F);
  const auto block = berth::codec::encode(externals, large);
  ASSERT_EQ(externals.size(), 1U);
  EXPECT_EQ(externals[0].bytes, 64U * 1024);
  EXPECT_EQ(reinterpret_cast<const float*>(externals[0].data), large.data());
  EXPECT_EQ(block.size(), 24U);
  EXPECT_EQ(berth::codec::read<std::vector<float>>({block, externals}).value(), large);

  externals.clear();
  const std::vector<float> small(16 * 1024 - 1, 2.5F);
  EXPECT_GT(berth::codec::encode(externals, small).size(), 65000U);
  EXPECT_TRUE(externals.empty());
}

TEST(codec, a_reader_of_a_view_sees_the_external_itself) {
  using pack = berth::codec::pack<std::span<const float>>;
  const std::vector<float> large(20 * 1024, 1.0F);
  std::vector<berth::external> externals;
  berth::bytes block(pack::measure(large).bytes);
  pack::write(block.data(), externals, large);
  pack::decoded in;
  ASSERT_EQ(in.read({block, externals}), flaw::none);
  in.apply([&](std::span<const float> view) { EXPECT_EQ(view.data(), large.data()); });
}

TEST(codec, a_tensor_shares_the_owner_of_its_external) {
  berth::tensor<float> image({200, 200});
  image.edit()[5] = 3;
  std::vector<berth::external> externals;
  const auto block = berth::codec::encode(externals, image);
  ASSERT_EQ(externals.size(), 1U);
  EXPECT_EQ(externals[0].owner, image.any().owner());
  const auto back = berth::codec::read<berth::tensor<float>>({block, externals}).value();
  EXPECT_EQ(back.data().data(), image.data().data());
  EXPECT_EQ(back, image);
}

/// Memory that says it is a shared segment.
class segment_double final : public berth::memory {
 public:
  explicit segment_double(std::uint64_t size) : bytes_(size) {}

  [[nodiscard]] std::byte* data() const noexcept override {
    return const_cast<std::byte*>(bytes_.data());
  }

  [[nodiscard]] std::uint64_t size() const noexcept override { return bytes_.size(); }

  [[nodiscard]] int segment() const noexcept override { return 3; }

  void freeze() noexcept override { frozen_ = true; }

  [[nodiscard]] bool frozen() const noexcept override { return frozen_; }

 private:
  std::vector<std::byte> bytes_;
  bool frozen_ = false;
};

TEST(tensor, in_shared_memory_is_frozen_by_sending_it) {
  auto owner = std::make_shared<segment_double>(40000 * sizeof(float));
  auto shared = berth::tensor<float>::from(
                    berth::any_tensor::over(berth::dtype::f32, {200, 200}, owner).value())
                    .value();
  shared.edit()[0] = 1;
  std::vector<berth::external> externals;
  (void)berth::codec::encode(externals, shared);
  ASSERT_EQ(externals.size(), 1U);
  EXPECT_EQ(externals[0].data, owner->data());
  try {
    (void)shared.edit();
    FAIL() << "a sent tensor can be written";
  } catch (const berth::error& e) {
    EXPECT_EQ(e.code(), "frozen");
  }
}

TEST(tensor, copies_share_memory_until_one_is_written) {
  berth::tensor<int> a({2, 2}, std::vector<int>{1, 2, 3, 4});
  berth::tensor<int> b = a;
  EXPECT_EQ(a.data().data(), b.data().data());
  b.edit()[0] = 9;
  EXPECT_EQ(a[0], 1);
  EXPECT_EQ(b[0], 9);
  EXPECT_THROW(berth::tensor<int>({3}, std::vector<int>{1}), berth::error);
  EXPECT_THROW((berth::tensor<int>({1ULL << 40, 1ULL << 40})), berth::error);
}

TEST(tensor, over_memory_that_is_too_small_or_misaligned_is_refused) {
  auto owner = berth::heap_memory(16);
  EXPECT_FALSE(berth::any_tensor::over(berth::dtype::f32, {5}, owner));
  EXPECT_FALSE(berth::any_tensor::over(berth::dtype::f32, {3}, owner, 8));
  EXPECT_FALSE(berth::any_tensor::over(berth::dtype::f32, {1}, owner, 2));
  EXPECT_TRUE(berth::any_tensor::over(berth::dtype::f32, {2}, owner, 8));
}

template <class T>
flaw flaw_of(berth::bytes block, std::vector<berth::external> externals = {}) {
  typename berth::codec::pack<T>::decoded in;
  return in.read({block, externals});
}

TEST(codec, refuses_blocks_that_break_the_layout_and_says_how) {
  EXPECT_EQ(flaw_of<double>({}), flaw::too_short);
  EXPECT_EQ(flaw_of<int>(block_of({1, 0, 0, 0, 0, 0, 0, 0, 9})), flaw::trailing);
  EXPECT_EQ(flaw_of<bool>(block_of({2, 0, 0, 0, 0, 0, 0, 0})), flaw::bad_bool);
  EXPECT_EQ(flaw_of<std::optional<int>>(block_of({2, 0, 0, 0, 0, 0, 0, 0})), flaw::bad_choice);
  EXPECT_EQ((flaw_of<std::variant<int, float>>(block_of({2, 0, 0, 0, 0, 0, 0, 0}))),
            flaw::bad_choice);
  EXPECT_EQ(flaw_of<std::string>(block_of({0, 0, 0, 0, 1, 0, 0, 0})), flaw::bad_offset);
  EXPECT_EQ(flaw_of<std::string>(block_of({8, 0, 0, 0, 1, 0, 0, 0})), flaw::bad_count);
  EXPECT_EQ(flaw_of<std::string>(block_of({8, 0, 0, 0, 0xFE, 0xFF, 0xFF, 0xFF})), flaw::bad_count);
  EXPECT_EQ(flaw_of<std::string>(block_of({8, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF})), flaw::bad_count);
  EXPECT_EQ(flaw_of<std::vector<double>>(block_of({8, 0, 0, 0, 0xFE, 0xFF, 0xFF, 0x7F})),
            flaw::bad_count);
  EXPECT_EQ(flaw_of<std::set<int>>(block_of({8, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0})),
            flaw::doubled_key);
  // Two references to one tail: the second does not begin where the first ended.
  EXPECT_EQ((flaw_of<std::pair<std::string, std::string>>(block_of(
                {16, 0, 0, 0, 1, 0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 'x', 0, 0, 0, 0, 0, 0, 0}))),
            flaw::bad_offset);
}

TEST(codec, refuses_externals_that_are_not_what_the_block_says) {
  std::vector<berth::external> externals;
  const std::vector<float> large(20 * 1024, 1.0F);
  const auto block = berth::codec::encode(externals, large);
  using floats = std::vector<float>;
  EXPECT_EQ(flaw_of<floats>(block), flaw::bad_external);
  auto shorter = externals;
  shorter[0].bytes -= 4;
  EXPECT_EQ(flaw_of<floats>(block, shorter), flaw::bad_external);
  auto doubled = externals;
  doubled.push_back(externals[0]);
  EXPECT_EQ(flaw_of<floats>(block, doubled), flaw::trailing);
  // A list whose elements have tails of their own never stands beside.
  EXPECT_EQ(flaw_of<std::vector<std::string>>(block, externals), flaw::bad_external);
}

TEST(codec, a_view_of_misaligned_memory_is_refused) {
  const std::vector<double> numbers{1, 2};
  std::vector<berth::external> externals;
  auto shifted = berth::codec::encode(externals, numbers);
  shifted.insert(shifted.begin(), 4, std::byte{});
  berth::codec::pack<std::span<const double>>::decoded in;
  EXPECT_EQ(in.read({std::span(shifted).subspan(4), {}}), flaw::misaligned);
}

TEST(codec, arguments_can_be_read_again_into_the_same_place) {
  using pack =
      berth::codec::pack<std::vector<std::string>, std::optional<std::string>, std::map<int, int>>;
  pack::decoded in;
  for (int round = 0; round < 3; ++round) {
    const std::vector<std::string> words(static_cast<std::size_t>(3 - round), "word");
    const auto maybe = round == 1 ? std::optional<std::string>("x") : std::nullopt;
    const std::map<int, int> m{{round, 1}};
    std::vector<berth::external> externals;
    berth::bytes block(pack::measure(words, maybe, m).bytes);
    pack::write(block.data(), externals, words, maybe, m);
    ASSERT_EQ(in.read({block, externals}), flaw::none);
    EXPECT_EQ(in.values(), std::tuple(words, maybe, m));
  }
}

TEST(codec, functions_without_parameters_carry_an_empty_block) {
  using pack = berth::codec::pack<>;
  EXPECT_EQ(pack::measure(), (berth::codec::plan{0, 0}));
  pack::decoded in;
  EXPECT_EQ(in.read({}), flaw::none);
  EXPECT_TRUE(berth::codec::read<void>({}).has_value());
}

TEST(codec, a_plan_beyond_32_bits_is_refused_before_anything_is_written) {
  const auto bad = berth::codec::check({std::uint64_t{1} << 33, 0});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, "too_large");
}

TEST(codec, every_truncation_and_every_flipped_bit_is_read_without_harm) {
  const auto seed = everything::seed();
  SCOPED_TRACE("BERTH_SEED=" + std::to_string(seed));
  everything::maker make(seed);
  const all x = make.make();
  std::vector<berth::external> externals;
  const auto block = berth::codec::encode(externals, x);
  const auto& shape = berth::shape_of<all>();
  for (std::size_t n = 0; n < block.size(); n += 8)
    EXPECT_FALSE(berth::codec::read<all>({std::span(block).first(n), externals}));
  for (std::size_t bit = 0; bit < block.size() * 8; ++bit) {
    berth::bytes damaged = block;
    damaged[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    const auto typed = berth::codec::read<all>({damaged, externals});
    const auto dynamic = berth::decode_hot(shape, {damaged, externals});
    // The dynamic reader knows texts only as keys, so it may accept a doubled number; never the other way round.
    if (typed) {
      EXPECT_TRUE(dynamic) << "bit " << bit << ": " << dynamic.error().to_string();
    }
  }
}

}  // namespace
