#pragma once
// CAF layer: the few things of CAF this folder uses, so that the release behind it can change in one place.
//
// CAF 0.17.6 carries raw floating point wrongly (an infinity hangs the I/O thread of the whole node, a NaN becomes 1),
// does not know optional and variant, and writes only char vectors and strings in one go. So messages hold `exact<F>`
// and `blob`, are described by BERTH_MESSAGE, and stay below `message_bytes_max`.
//
// Including this costs seconds of compile time: sources of this folder only.

#include <caf/all.hpp>
#include <caf/io/all.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

// Applies m to each of up to 256 arguments (__VA_OPT__ recursion).
#define BERTH_PARENS ()
#define BERTH_EXPAND(...) BERTH_EXPAND4(BERTH_EXPAND4(BERTH_EXPAND4(__VA_ARGS__)))
#define BERTH_EXPAND4(...) BERTH_EXPAND3(BERTH_EXPAND3(BERTH_EXPAND3(__VA_ARGS__)))
#define BERTH_EXPAND3(...) BERTH_EXPAND2(BERTH_EXPAND2(BERTH_EXPAND2(__VA_ARGS__)))
#define BERTH_EXPAND2(...) __VA_ARGS__
#define BERTH_EACH(m, ...) __VA_OPT__(BERTH_EXPAND(BERTH_EACH_(m, __VA_ARGS__)))
#define BERTH_EACH_(m, a, ...) m(a) __VA_OPT__(, BERTH_EACH_AGAIN BERTH_PARENS(m, __VA_ARGS__))
#define BERTH_EACH_AGAIN() BERTH_EACH_
#define BERTH_FIELD(name) berth_x.name

/// Describes a struct's fields to CAF: BERTH_MESSAGE(type, field, …) beside the type, in its namespace.
/// The type's name goes over the wire and is frozen with the field order.
#define BERTH_MESSAGE(type, ...)                                                                \
  template <class Inspector>                                                                    \
  typename Inspector::result_type inspect(Inspector& berth_f, [[maybe_unused]] type& berth_x) { \
    return berth_f(caf::meta::type_name(#type) __VA_OPT__(, )                                   \
                       BERTH_EACH(BERTH_FIELD, __VA_ARGS__));                                   \
  }

namespace berth::actors {

/// No message may be larger: a big one blocks all others of its node for as long as it takes to send.
inline constexpr std::size_t message_bytes_max = 1 << 20;

/// Bytes, written and read in one go.
struct blob {
  std::vector<char> data;
  friend bool operator==(const blob&, const blob&) = default;
};

/// A floating point field, bit for bit.
template <class F>
struct exact {
  using bits = std::conditional_t<sizeof(F) == 4, std::uint32_t, std::uint64_t>;
  F value = 0;
  exact() = default;

  exact(F x) : value(x) {}  // NOLINT(google-explicit-constructor)

  operator F() const { return value; }  // NOLINT(google-explicit-constructor)
};

template <class F>
bool same(const exact<F>& a, const exact<F>& b) {
  return std::bit_cast<typename exact<F>::bits>(a.value)
         == std::bit_cast<typename exact<F>::bits>(b.value);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, blob& x) {
  return f(caf::meta::type_name("berth::blob"), x.data);
}

template <class Inspector, class F>
typename Inspector::result_type inspect(Inspector& f, exact<F>& x) {
  using bits = typename exact<F>::bits;
  if constexpr (std::is_base_of_v<caf::serializer, Inspector>) {
    auto b = std::bit_cast<bits>(x.value);
    return f(b);
  } else if constexpr (std::is_base_of_v<caf::deserializer, Inspector>) {
    bits b = 0;
    if (auto why = f(b)) return why;
    x.value = std::bit_cast<F>(b);
    return caf::error{};
  } else {
    return f(x.value);
  }
}

namespace detail {
template <class F>
struct signature;

template <class... Out, class... In>
struct signature<caf::result<Out...>(In...)> {
  using type = typename caf::replies_to<In...>::template with<Out...>;
};

template <class... In>
struct signature<caf::result<void>(In...)> {
  using type = caf::reacts_to<In...>;
};
}  // namespace detail

/// A typed interface, written as later releases of CAF write it: typed<result<out>(in), …>.
template <class... Fs>
using typed = caf::typed_actor<typename detail::signature<Fs>::type...>;

}  // namespace berth::actors

// Found through the inspector, which lives in this namespace.
namespace caf {

template <class Inspector, class T>
typename Inspector::result_type inspect(Inspector& f, std::optional<T>& x) {
  if constexpr (Inspector::writes_state) {
    bool has = false;
    if (auto why = f(has)) return why;
    if (!has) {
      x.reset();
      return typename Inspector::result_type{};
    }
    x.emplace();
    return f(*x);
  } else {
    bool has = x.has_value();
    return has ? f(has, *x) : f(has);
  }
}

namespace berth_detail {
template <class Inspector, class Variant, std::size_t... Is>
error load_alternative(Inspector& f, Variant& x, std::size_t index, std::index_sequence<Is...>) {
  error out = sec::unknown_type;
  auto one = [&](auto i) {
    if (index == i.value) out = f(x.template emplace<i.value>());
  };
  (one(std::integral_constant<std::size_t, Is>{}), ...);
  return out;
}
}  // namespace berth_detail

template <class Inspector, class... Ts>
typename Inspector::result_type inspect(Inspector& f, std::variant<Ts...>& x) {
  if constexpr (Inspector::writes_state) {
    std::uint8_t index = 0;
    if (auto why = f(index)) return why;
    return berth_detail::load_alternative(f, x, index, std::index_sequence_for<Ts...>{});
  } else {
    auto index = static_cast<std::uint8_t>(x.index());
    return std::visit([&](auto& one) { return f(index, one); }, x);
  }
}

}  // namespace caf
