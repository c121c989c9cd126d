#pragma once
// describe: shapes and signatures of C++ types and functions.
//
// `shape_of<T>()` is what a decoder needs to know of `T` without knowing C++: the layout, the names of members and
// enumerators, and what `T{}` gives for a member that an older or a human caller leaves out.

#include <berth/codec.hpp>
#include <berth/shape.hpp>
#include <berth/types.hpp>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace berth {

/// The shape of `T`, made once. Threads: safe. Cost: afterwards that of a static local.
template <class T>
const shape& shape_of();

/// Result and parameter types of a function, function pointer or member function pointer.
template <class F>
struct function_type;

template <class R, class... Ps>
struct function_type<R(Ps...)> {
  using result = R;
  using params = type_list<Ps...>;
  using plain = R(Ps...);
};

template <class R, class... Ps>
struct function_type<R(Ps...) noexcept> : function_type<R(Ps...)> {};

template <class F>
struct function_type<F*> : function_type<F> {};

template <class R, class C, class... Ps>
struct function_type<R (C::*)(Ps...)> : function_type<R(Ps...)> {
  using of = C;
};

template <class R, class C, class... Ps>
struct function_type<R (C::*)(Ps...) const> : function_type<R (C::*)(Ps...)> {};

template <class R, class C, class... Ps>
struct function_type<R (C::*)(Ps...) noexcept> : function_type<R (C::*)(Ps...)> {};

template <class R, class C, class... Ps>
struct function_type<R (C::*)(Ps...) const noexcept> : function_type<R (C::*)(Ps...)> {};

namespace detail {

template <class T>
constexpr form scalar_form() {
  if constexpr (std::is_same_v<T, bool>)
    return form::boolean;
  else if constexpr (std::is_same_v<T, char>)
    return form::character;
  else if constexpr (std::is_same_v<T, float>)
    return form::f32;
  else if constexpr (std::is_same_v<T, double>)
    return form::f64;
  else if constexpr (std::is_same_v<T, std::byte>)
    return form::u8;
  else {
    constexpr auto base = static_cast<unsigned>(std::is_signed_v<T> ? form::i8 : form::u8);
    constexpr unsigned wider = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
    return static_cast<form>(base + wider);
  }
}

/// Enumerators whose value lies in -128…127 (unsigned: 0…255), by printing casts of all of them in one go. An
/// enumeration without a fixed underlying type is left unnamed where the compiler forbids such casts.
template <class E>
struct enumerators {
  using underlying = std::underlying_type_t<E>;
#if defined(__clang__) && __clang_major__ >= 16
  static constexpr bool nameable = requires {
    E{0};
  };
#else
  static constexpr bool nameable = true;
#endif
  static constexpr int low = std::is_signed_v<underlying> ? -128 : 0;
  static constexpr int count = std::is_same_v<underlying, bool> ? 2 : 256;

  template <E... Values>
  static auto printed() {
    return std::string_view(__PRETTY_FUNCTION__);
  }

  static std::string_view print_all() {
    if constexpr (nameable) return []<int... I>(std::integer_sequence<int, I...>) {
        return printed<static_cast<E>(low + I)...>();
      }
    (std::make_integer_sequence<int, count>{});
    else return {};
  }
};

/// Reads names out of what `enumerators::print_all` printed; the first entry has value `low`.
[[nodiscard]] BERTH_API std::vector<enumerator> enumerators_in(std::string_view printed, int low);

/// `block` without meaning when it is all zero: that is what absence decodes to.
[[nodiscard]] BERTH_API std::string preset_of(std::string block);

template <class T>
struct describe_record;

template <class... Ms>
struct describe_members {
  template <class T, std::size_t... I>
  static std::vector<part> of(std::index_sequence<I...>) {
    std::vector<part> members;
    members.reserve(sizeof...(Ms));
    (members.push_back({std::string(member_name<T, I>()), shape_of<std::remove_cv_t<Ms>>(), {}}),
     ...);
    const T blank{};
    std::size_t i = 0;
    each_part(blank, [&](std::size_t, const auto& member) {
      members[i++].preset = preset_of(codec::encode_inline(member));
    });
    return members;
  }
};

template <class T, class... Ms>
std::vector<part> members_of(type_list<Ms...>) {
  if constexpr (sizeof...(Ms) == 0)
    return {};
  else
    return describe_members<Ms...>::template of<T>(std::index_sequence_for<Ms...>{});
}

template <class... Ts>
std::vector<shape> shapes_of(type_list<Ts...>) {
  return {shape_of<std::remove_cv_t<Ts>>()...};
}

template <class T>
shape describe() {
  static_assert(layout_of<T>.bytes > 0);
  constexpr category what = category_of<T>();
  if constexpr (what == category::unit || what == category::unsupported) {
    return {};  // the layout has refused an unsupported type already
  } else if constexpr (what == category::scalar) {
    return shape::simple(scalar_form<T>());
  } else if constexpr (what == category::long_double) {
    return shape::simple(form::f80);
  } else if constexpr (what == category::enumeration) {
    using names = enumerators<T>;
    return shape::enumeration(std::string(type_name<T>()), scalar_form<std::underlying_type_t<T>>(),
                              enumerators_in(names::print_all(), names::low));
  } else if constexpr (what == category::duration) {
    return shape::duration(scalar_form<typename T::rep>(), T::period::num, T::period::den);
  } else if constexpr (what == category::time) {
    return shape::time(scalar_form<typename T::rep>(), T::period::num, T::period::den);
  } else if constexpr (what == category::text) {
    return shape::simple(form::text);
  } else if constexpr (what == category::bytes) {
    return shape::simple(form::bytes);
  } else if constexpr (what == category::list || what == category::set) {
    return shape::list(shape_of<std::remove_cv_t<element_of<T>>>());
  } else if constexpr (what == category::map) {
    return shape::map(shape_of<typename T::key_type>(), shape_of<typename T::mapped_type>());
  } else if constexpr (what == category::array) {
    return shape::array(shape_of<std::remove_cv_t<element_of<T>>>(), parts_of<T>::extent);
  } else if constexpr (what == category::optional) {
    return shape::optional(shape_of<element_of<T>>());
  } else if constexpr (what == category::variant) {
    return shape::variant(shapes_of(typename parts_of<T>::type{}));
  } else if constexpr (what == category::tuple) {
    return shape::tuple(shapes_of(typename parts_of<T>::type{}));
  } else if constexpr (what == category::record) {
    return shape::record(std::string(type_name<T>()), members_of<T>(typename parts_of<T>::type{}));
  } else if constexpr (what == category::tensor) {
    return shape::tensor(dtype_for<typename T::value_type>());
  } else {
    return shape_of<std::remove_cv_t<typename as<T>::wire>>();
  }
}

/// A parameter or result as declared, without the stream around it.
template <class T>
struct crossing {
  using item = std::remove_cvref_t<T>;
  static constexpr flow kind = flow::single;
};

template <class T>
struct crossing<stream<T>> {
  using item = T;
  static constexpr flow kind = flow::stream;
};

template <class P>
constexpr void check_parameter() {
  static_assert(
      !std::is_lvalue_reference_v<P> || std::is_const_v<std::remove_reference_t<P>>,
      "a parameter of an exported function cannot be a mutable reference: nothing is sent back");
}

template <class R>
constexpr void check_result() {
  static_assert(!std::is_reference_v<R>, "an exported function cannot return a reference");
  if constexpr (!std::is_reference_v<R>)
    static_assert(!codec::borrows<typename crossing<R>::item>,
                  "an exported function cannot return a view: return the owning type");
}

template <class R, class... Ps>
signature describe_signature(std::string method,
                             std::span<const std::string_view> names,
                             type_list<Ps...>) {
  check_result<R>();
  (check_parameter<Ps>(), ...);
  signature s{std::move(method), {}, shape_of<typename crossing<R>::item>(), crossing<R>::kind};
  std::size_t i = 0;
  [[maybe_unused]] auto name = [&] {
    return i < names.size() ? std::string(names[i]) : "arg" + std::to_string(i);
  };
  ((s.params.push_back({name(), shape_of<typename crossing<std::remove_cvref_t<Ps>>::item>(),
                        crossing<std::remove_cvref_t<Ps>>::kind}),
    ++i),
   ...);
  return s;
}

}  // namespace detail

template <class T>
const shape& shape_of() {
  static const shape made = detail::describe<T>();
  return made;
}

/// The signature of function type `F` (also a pointer to a function or member function). Parameters without a name in
/// `names` are called arg0, arg1, …
template <class F>
[[nodiscard]] signature signature_of(std::span<const std::string_view> names = {},
                                     std::string method = {}) {
  using type = function_type<F>;
  return detail::describe_signature<typename type::result>(std::move(method), names,
                                                           typename type::params{});
}

/// The signature of a function: `signature_of<&f>()`.
template <auto F>
[[nodiscard]] signature signature_of(std::span<const std::string_view> names = {},
                                     std::string method = {}) {
  return signature_of<decltype(F)>(names, std::move(method));
}

}  // namespace berth
