#pragma once
// What the digits services say to each other: plain structs, no macros, no interface language.

#include <cstdint>
#include <vector>

namespace digits {

constexpr int pixels = 64;   // 8 x 8, each 0..16
constexpr int classes = 10;  // 0..9

/// A trained network: 64 inputs, `hidden` rectified units (0: none, a linear classifier), 10 outputs. Row-major.
struct weights {
  int hidden = 0;
  std::vector<float> first;        // hidden x 64
  std::vector<float> first_bias;   // hidden
  std::vector<float> second;       // 10 x hidden, or 10 x 64 when there is no hidden layer
  std::vector<float> second_bias;  // 10
};

/// What to train.
struct recipe {
  int hidden = 0;
  int epochs = 10;
  float rate = 0.05F;  // of the first epoch; falls to 0 along half a cosine
  float shift = 0;     // each picture is moved by up to this many pixels, anew in each epoch
  std::uint32_t seed = 1;
};

struct digit {
  int label = -1;
  float confidence = 0;
};

}  // namespace digits
