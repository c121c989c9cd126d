// digits/train: stochastic gradient descent on the pictures it is sent; returns the weights and reports its progress.
#include "digits.hpp"

#include <algorithm>
#include <array>
#include <berth/here.hpp>
#include <berth/module.hpp>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <numeric>
#include <random>
#include <span>
#include <stdexcept>

namespace digits {
namespace {

using picture = std::array<float, pixels>;

picture scaled(std::span<const std::uint8_t> raw) {
  picture x;
  std::transform(raw.begin(), raw.end(), x.begin(),
                 [](std::uint8_t sum) { return static_cast<float>(sum) / 16; });
  return x;
}

// The picture moved by (dx, dy) pixels, linear between neighbours, empty outside.
picture moved(const picture& x, float dx, float dy) {
  picture y{};
  for (int row = 0; row < 8; ++row)
    for (int column = 0; column < 8; ++column) {
      const float r = static_cast<float>(row) + dy;
      const float c = static_cast<float>(column) + dx;
      const int r0 = static_cast<int>(std::floor(r));
      const int c0 = static_cast<int>(std::floor(c));
      for (int a = 0; a < 2; ++a)
        for (int b = 0; b < 2; ++b) {
          if (r0 + a < 0 || c0 + b < 0 || r0 + a > 7 || c0 + b > 7) continue;
          const float part =
              (a == 1 ? r - static_cast<float>(r0) : 1 - r + static_cast<float>(r0))
              * (b == 1 ? c - static_cast<float>(c0) : 1 - c + static_cast<float>(c0));
          y[static_cast<std::size_t>(row * 8 + column)] +=
              part * x[static_cast<std::size_t>((r0 + a) * 8 + c0 + b)];
        }
    }
  return y;
}

// One network in training, and the room one step needs.
class network {
 public:
  network(const recipe& how, std::mt19937& chance) : hidden_(how.hidden) {
    w_.hidden = hidden_;
    std::normal_distribution<float> normal;
    auto fill = [&](std::vector<float>& to, int rows, int columns) {
      to.resize(static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns));
      for (auto& one : to)
        one = normal(chance) * std::sqrt(2.0F / static_cast<float>(columns));
    };
    fill(w_.first, hidden_, pixels);
    fill(w_.second, classes, inner());
    w_.first_bias.assign(static_cast<std::size_t>(hidden_), 0);
    w_.second_bias.assign(classes, 0);
    if (hidden_ == 0) std::fill(w_.second.begin(), w_.second.end(), 0.0F);
    h_.resize(static_cast<std::size_t>(inner()));
    dh_.resize(h_.size());
  }

  // One step of gradient descent on one picture; returns the loss before it.
  float learn(const picture& x, int label, float rate) {
    forward(x);
    std::fill(dh_.begin(), dh_.end(), 0.0F);
    for (int c = 0; c < classes; ++c) {
      // Labels are smoothed by 0.01, which keeps the confidences honest.
      const float gradient = p_[static_cast<std::size_t>(c)] - (c == label ? 0.991F : 0.001F);
      float* row = w_.second.data() + c * inner();
      for (int j = 0; j < inner(); ++j) {
        dh_[static_cast<std::size_t>(j)] += gradient * row[j];
        row[j] -= rate * gradient * h_[static_cast<std::size_t>(j)];
      }
      w_.second_bias[static_cast<std::size_t>(c)] -= rate * gradient;
    }
    for (int j = 0; j < hidden_; ++j) {
      if (h_[static_cast<std::size_t>(j)] <= 0) continue;
      float* row = w_.first.data() + j * pixels;
      const float step = rate * dh_[static_cast<std::size_t>(j)];
      for (int k = 0; k < pixels; ++k)
        row[k] -= step * x[static_cast<std::size_t>(k)];
      w_.first_bias[static_cast<std::size_t>(j)] -= step;
    }
    return -std::log(std::max(p_[static_cast<std::size_t>(label)], 1e-9F));
  }

  [[nodiscard]] const weights& trained() const { return w_; }

 private:
  [[nodiscard]] int inner() const { return hidden_ == 0 ? pixels : hidden_; }

  void forward(const picture& x) {
    for (int j = 0; j < hidden_; ++j) {
      float sum = w_.first_bias[static_cast<std::size_t>(j)];
      const float* row = w_.first.data() + j * pixels;
      for (int k = 0; k < pixels; ++k)
        sum += row[k] * x[static_cast<std::size_t>(k)];
      h_[static_cast<std::size_t>(j)] = std::max(sum, 0.0F);
    }
    if (hidden_ == 0) std::copy(x.begin(), x.end(), h_.begin());
    float top = -1e30F;
    for (int c = 0; c < classes; ++c) {
      float sum = w_.second_bias[static_cast<std::size_t>(c)];
      const float* row = w_.second.data() + c * inner();
      for (int j = 0; j < inner(); ++j)
        sum += row[j] * h_[static_cast<std::size_t>(j)];
      p_[static_cast<std::size_t>(c)] = sum;
      top = std::max(top, sum);
    }
    float total = 0;
    for (auto& one : p_)
      total += one = std::exp(one - top);
    for (auto& one : p_)
      one /= total;
  }

  int hidden_;
  weights w_;
  std::vector<float> h_;
  std::vector<float> dh_;
  std::array<float, classes> p_{};
};

}  // namespace

weights train(std::span<const std::uint8_t> pictures,
              std::span<const std::uint8_t> labels,
              recipe how) {
  if (labels.empty() || pictures.size() != labels.size() * pixels)
    throw std::invalid_argument("train needs 64 pixel sums for each label");
  if (std::any_of(labels.begin(), labels.end(), [](std::uint8_t l) { return l >= classes; }))
    throw std::invalid_argument("a label is not a digit");
  std::mt19937 chance(how.seed);
  network net(how, chance);
  std::vector<picture> rows;
  rows.reserve(labels.size());
  for (std::size_t i = 0; i < labels.size(); ++i)
    rows.push_back(scaled(pictures.subspan(i * pixels, pixels)));
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::uniform_real_distribution<float> by(-how.shift, how.shift);
  for (int epoch = 0; epoch < how.epochs && !berth::here().stop_requested(); ++epoch) {
    std::shuffle(order.begin(), order.end(), chance);
    const float done = static_cast<float>(epoch) / static_cast<float>(how.epochs);
    const float rate = how.rate * 0.5F * (1 + std::cos(std::numbers::pi_v<float> * done));
    float loss = 0;
    for (const auto i : order)
      loss += net.learn(how.shift > 0 ? moved(rows[i], by(chance), by(chance)) : rows[i], labels[i],
                        rate);
    berth::here().progress(static_cast<double>(epoch + 1) / how.epochs);
    std::printf("epoch %d of %d: loss %.4f\n", epoch + 1, how.epochs,
                static_cast<double>(loss) / static_cast<double>(rows.size()));
  }
  return net.trained();
}

BERTH_EXPORT(&train).params("pictures", "labels", "how");

}  // namespace digits
