// digits/classify: which digit a picture shows. The weights are bound when the function is shipped.
#include "digits.hpp"

#include <algorithm>
#include <berth/module.hpp>
#include <cmath>
#include <span>
#include <stdexcept>

namespace digits {

digit classify(const weights& w, std::span<const std::uint8_t> picture) {
  if (picture.size() != pixels) throw std::invalid_argument("a picture has 64 pixel sums");
  float x[pixels];
  std::transform(picture.begin(), picture.end(), x,
                 [](std::uint8_t sum) { return static_cast<float>(sum) / 16; });
  std::vector<float> hidden(x, x + pixels);
  if (w.hidden > 0) {
    hidden = w.first_bias;
    for (int j = 0; j < w.hidden; ++j) {
      auto& sum = hidden[static_cast<std::size_t>(j)];
      for (int k = 0; k < pixels; ++k)
        sum += w.first[static_cast<std::size_t>(j * pixels + k)] * x[k];
      sum = std::max(sum, 0.0F);
    }
  }
  const int inner = static_cast<int>(hidden.size());
  float score[classes];
  for (int c = 0; c < classes; ++c) {
    score[c] = w.second_bias[static_cast<std::size_t>(c)];
    for (int j = 0; j < inner; ++j)
      score[c] +=
          w.second[static_cast<std::size_t>(c * inner + j)] * hidden[static_cast<std::size_t>(j)];
  }
  const auto best = std::max_element(score, score + classes);
  float total = 0;
  for (const float one : score)
    total += std::exp(one - *best);
  return {static_cast<int>(best - score), 1 / total};
}

BERTH_EXPORT(&classify).params("w", "picture").idempotent();

}  // namespace digits
