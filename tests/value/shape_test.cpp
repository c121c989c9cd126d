#include "tests/value/everything.hpp"

#include <berth/describe.hpp>
#include <berth/shape.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <span>
#include <string_view>

namespace {

using berth::shape;
using berth::shape_of;

struct many {
  int a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, c0, c1, c2,
      c3, c4, c5, c6, c7, c8, c9, d0, d1, d2, d3, d4, d5, d6, d7, d8, d9, e0, e1, e2, e3, e4, e5,
      e6, e7, e8, e9, f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, g0, g1, g2, last;
};

struct with_arrays {
  int id = 0;
  float box[4] = {};
  std::string grid[2][3];
  std::vector<int> numbers;
  everything::digit inner;
  double end = 0;
};

TEST(reflection, counts_and_names_members_c_arrays_included) {
  static_assert(berth::member_count<with_arrays> == 6);
  static_assert(berth::member_name<with_arrays, 1>() == "box");
  static_assert(berth::member_name<with_arrays, 2>() == "grid");
  static_assert(berth::member_name<with_arrays, 5>() == "end");
  static_assert(berth::member_count<many> == 64);
  static_assert(berth::member_name<many, 63>() == "last");

  struct local {
    int of_a_function;
  };

  static_assert(berth::member_name<local, 0>() == "of_a_function");
  static_assert(berth::type_name<everything::digit>() == "digit");
  static_assert(
      std::is_same_v<berth::member_types<everything::digit>, berth::type_list<int, float>>);
}

struct base {
  int a;
};

struct derived : base {
  int b;
};

struct with_reference {
  int a;
  int& r;
};

struct without_default {
  explicit without_default(int);
};

struct holds_one_without_default {
  int a;
  without_default b;
};

TEST(reflection, knows_what_it_cannot_take_apart) {
  static_assert(!berth::is_reflectable<derived>());
  static_assert(!berth::is_reflectable<with_reference>());
  static_assert(!berth::is_reflectable<holds_one_without_default>());
  static_assert(!berth::is_reflectable<std::string>());
  static_assert(berth::is_reflectable<everything::nothing>());
}

TEST(shape, is_one_for_every_way_to_pass_a_list) {
  const auto by_span = berth::signature_of<void(std::span<const float>)>();
  EXPECT_EQ(by_span, berth::signature_of<void(const std::vector<float>&)>());
  EXPECT_EQ(by_span, berth::signature_of<void(std::vector<float>)>());
  EXPECT_EQ(by_span, berth::signature_of<void(std::deque<float> &&)>());
  EXPECT_FALSE(by_span == berth::signature_of<void(std::vector<double>)>());
  EXPECT_EQ(berth::signature_of<int(std::string_view)>(),
            berth::signature_of<int(const std::string&)>());
  EXPECT_EQ(berth::signature_of<int(std::span<const std::byte>)>(),
            berth::signature_of<int(const berth::bytes&)>());
}

struct twin {
  int label = 3;
  float confidence = 0;
};

struct renamed {
  int label = 3;
  float certainty = 0;
};

TEST(shape, compares_names_of_members_but_not_of_types) {
  EXPECT_EQ(shape_of<twin>(), shape_of<everything::digit>());
  EXPECT_FALSE(shape_of<renamed>() == shape_of<twin>());
}

TEST(shape, prints_as_readable_cpp) {
  using everything::digit;
  EXPECT_EQ(to_string(shape_of<digit>()), "digit{int label; float confidence}");
  EXPECT_EQ(to_string(shape_of<std::map<std::string, std::vector<std::optional<long>>>>()),
            "map<string, vector<optional<int64>>>");
  EXPECT_EQ(to_string(shape_of<std::tuple<bool, char, std::array<float, 3>>>()),
            "tuple<bool, char, array<float, 3>>");
  EXPECT_EQ(to_string(shape_of<std::variant<int, digit>>()),
            "variant<int, digit{int label; float confidence}>");
  EXPECT_EQ(to_string(shape_of<std::chrono::milliseconds>()), "milliseconds");
  EXPECT_EQ(to_string(shape_of<std::chrono::system_clock::time_point>()), "time<nanoseconds>");
  EXPECT_EQ(to_string(shape_of<everything::color>()), "enum color : uint8");
  EXPECT_EQ(to_string(shape_of<berth::tensor<float>>()), "tensor<f32>");
  EXPECT_EQ(to_string(shape_of<float[2][3]>()), "array<array<float, 3>, 2>");
  const std::string_view names[] = {"prompt"};
  EXPECT_EQ(to_string(berth::signature_of<digit(std::string, int)>(names)),
            "digit{int label; float confidence} (string prompt, int arg1)");
  EXPECT_EQ(to_string(berth::signature_of<berth::stream<std::string>(berth::stream<int>)>()),
            "stream<string> (stream<int> arg0)");
}

class service {
 public:
  int answer(const std::string&) const noexcept;
};

TEST(signature, knows_functions_pointers_and_methods) {
  const auto sig = berth::signature_of<&service::answer>({}, "answer");
  EXPECT_EQ(sig.method, "answer");
  ASSERT_EQ(sig.params.size(), 1U);
  EXPECT_EQ(sig.params[0].shape.form(), berth::form::text);
  EXPECT_EQ(sig.result.form(), berth::form::i32);
  EXPECT_EQ(berth::signature_of<void (*)()>().result.form(), berth::form::unit);
  static_assert(std::is_same_v<berth::function_type<decltype(&service::answer)>::of, service>);
}

TEST(shape, layout_is_the_typed_codecs) {
  EXPECT_EQ(shape_of<everything::all>().bytes(), berth::detail::layout_of<everything::all>.bytes);
  EXPECT_EQ(shape_of<everything::all>().align(), berth::detail::layout_of<everything::all>.align);
  EXPECT_EQ(shape_of<everything::padded>().bytes(), sizeof(everything::padded));
  EXPECT_TRUE(shape_of<everything::digit>().plain());
  EXPECT_FALSE(shape_of<everything::padded>().plain());
  EXPECT_FALSE(shape_of<bool>().plain());
}

/// Every shape inside `s`, itself included, with names and presets.
void expect_identical(const shape& a, const shape& b) {
  EXPECT_EQ(a, b);
  EXPECT_EQ(a.name(), b.name());
  ASSERT_EQ(a.names().size(), b.names().size());
  for (std::size_t i = 0; i < a.names().size(); ++i)
    EXPECT_EQ(a.names()[i].name, b.names()[i].name);
  ASSERT_EQ(a.parts().size(), b.parts().size());
  for (std::size_t i = 0; i < a.parts().size(); ++i) {
    EXPECT_EQ(a.parts()[i].name, b.parts()[i].name);
    EXPECT_EQ(a.parts()[i].preset, b.parts()[i].preset);
    expect_identical(a.parts()[i].shape, b.parts()[i].shape);
  }
}

TEST(shape, comes_back_from_its_bytes_with_all_names_and_presets) {
  const auto& s = shape_of<everything::all>();
  expect_identical(berth::decode_shape(encode(s)).value(), s);
  EXPECT_LT(encode(s).size(), 2500U);
  const auto sig = berth::signature_of<berth::stream<int>(everything::all, std::string)>();
  const auto back = berth::decode_signature(encode(sig)).value();
  EXPECT_EQ(back, sig);
  EXPECT_EQ(to_string(back), to_string(sig));
  const std::vector<berth::signature> two{sig, berth::signature_of<int()>({}, "count")};
  EXPECT_EQ(berth::decode_signatures(encode(std::span(two))).value(), two);
}

TEST(shape, golden_bytes_stay_as_they_are) {
  EXPECT_EQ(encode(shape_of<int>()), "\x04");
  EXPECT_EQ(encode(shape_of<std::vector<float>>()), "\x10\x0A");
  EXPECT_EQ(encode(shape_of<everything::digit>()),
            std::string("\x16\x05"
                        "digit\x02\x05label\x08\x03\0\0\0\0\0\0\0\x04\x0A"
                        "confidence\x00\x0A",
                        37));
  EXPECT_EQ(encode(berth::signature_of<void(int)>()), std::string("\0\1\4arg0\0\4\0\0", 11));
}

TEST(shape, truncated_flipped_and_hostile_bytes_are_errors_or_shapes) {
  const std::string good = encode(berth::signature_of<everything::all(everything::all)>());
  for (std::size_t n = 0; n < good.size(); ++n)
    EXPECT_FALSE(berth::decode_signature(good.substr(0, n)));
  EXPECT_FALSE(berth::decode_signature(good + "x"));
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string damaged = good;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    if (const auto read = berth::decode_signature(damaged)) (void)to_string(*read);
  }
  EXPECT_TRUE(berth::decode_shape(std::string(31, '\x10') + "\x04"));
  EXPECT_FALSE(berth::decode_shape(std::string(32, '\x10') + "\x04"));
  EXPECT_FALSE(berth::decode_shape(std::string(100000, '\x10')));
  EXPECT_FALSE(berth::decode_shape("\x15\xFF\xFF\xFF\xFF\x0F"));  // a tuple of 4 billion parts
  EXPECT_FALSE(
      berth::decode_shape("\x12\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F\x04"));  // an array of 2^56 ints
  EXPECT_FALSE(berth::decode_shape("\x12\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F\x04"));
  EXPECT_FALSE(berth::decode_shape("\x1B"));
  std::string wide = "\x15\x80\x02";
  for (int i = 0; i < 256; ++i)
    wide += "\x15\x80\x02" + std::string(256, '\x04');
  const auto too_many = berth::decode_shape(wide);
  ASSERT_FALSE(too_many);
  EXPECT_EQ(too_many.error().code, "bad_shape");
}

}  // namespace
