#include <berth/value.hpp>
#include <cmath>

namespace berth {
namespace {

constexpr std::size_t kinds = std::variant_size_v<value::state>;

/// Equality of an integer with one of the other signedness.
bool same_integer(std::int64_t a, std::uint64_t b) noexcept {
  return a >= 0 && static_cast<std::uint64_t>(a) == b;
}

bool same_number(double a, double b) noexcept {
  return a == b || (std::isnan(a) && std::isnan(b));
}

}  // namespace

const value* value::find(std::string_view name) const noexcept {
  if (const auto* members = get<object>())
    for (const auto& m : *members)
      if (m.name == name) return &m.value;
  return nullptr;
}

std::string_view value::type() const noexcept {
  constexpr std::array<std::string_view, kinds> names{
      "null", "bool", "integer", "integer", "number", "text", "bytes", "list", "object", "tensor"};
  return names[state_.index()];
}

bool operator==(const value& a, const value& b) noexcept {
  const auto* i = a.get<std::int64_t>();
  const auto* j = b.get<std::int64_t>();
  const auto* u = a.get<std::uint64_t>();
  const auto* v = b.get<std::uint64_t>();
  if (i && v) return same_integer(*i, *v);
  if (u && j) return same_integer(*j, *u);
  const auto* x = a.get<double>();
  const auto* y = b.get<double>();
  if (x && y) return same_number(*x, *y);
  if (a.tensor() && b.tensor()) return *a.tensor() == *b.tensor();
  return a.state_ == b.state_;
}

}  // namespace berth
