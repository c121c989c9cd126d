#pragma once
// Reflection of plain aggregates: their members and their names, without a macro in the user's code.
//
// An aggregate of up to 64 members is taken apart by structured bindings; C arrays are members like any other. How
// many members there are follows from how many `{}` initialise it: an empty brace stands for exactly one member,
// whatever its type, where an expression could be swallowed by brace elision. The names come from the text the
// compiler prints for a template argument that is the address of a member of an object that is never defined.
// Not reflectable: types with bases, reference members, members without a default, bit-fields, recursion.

#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>

namespace berth {

template <class... Ts>
struct type_list {
  static constexpr std::size_t size = sizeof...(Ts);
};

namespace detail {

inline constexpr std::size_t members_max = 64;

/// Converts to any reference or value, so it can stand for a member that `{}` cannot initialise.
struct anything {
  template <class T>
  operator T&() const noexcept;
  template <class T>
  operator T&&() const noexcept;
};

/// Converts to a base of `Derived` only: tells an aggregate with a base from a plain one.
template <class Derived>
struct any_base {
  template <class Base>
  requires(std::is_base_of_v<Base, Derived> && !std::is_same_v<Base, Derived>) operator Base()
      const noexcept;
};

/// `takes<T>`: N empty braces initialise a T. `takes_more<T>`: and something else can follow. `visit`: calls
/// `f(members...)`.
template <std::size_t N>
struct members;

template <>
struct members<0> {
  template <class T>
  static constexpr bool takes = requires {
    T{};
  };

  template <class T>
  static constexpr bool takes_more = requires {
    T{anything{}};
  };

  template <class T, class F>
  static constexpr decltype(auto) visit(T&, F&& f) {
    return std::forward<F>(f)();
  }
};

// Lists of 1 to 64 names and of as many empty braces, eight a row.
// clang-format off
#define BERTH_ROW_1(p) p##1
#define BERTH_ROW_2(p) BERTH_ROW_1(p), p##2
#define BERTH_ROW_3(p) BERTH_ROW_2(p), p##3
#define BERTH_ROW_4(p) BERTH_ROW_3(p), p##4
#define BERTH_ROW_5(p) BERTH_ROW_4(p), p##5
#define BERTH_ROW_6(p) BERTH_ROW_5(p), p##6
#define BERTH_ROW_7(p) BERTH_ROW_6(p), p##7
#define BERTH_ROW_8(p) BERTH_ROW_7(p), p##8
#define BERTH_ROWS_0
#define BERTH_ROWS_1 BERTH_ROWS_0 BERTH_ROW_8(a),
#define BERTH_ROWS_2 BERTH_ROWS_1 BERTH_ROW_8(b),
#define BERTH_ROWS_3 BERTH_ROWS_2 BERTH_ROW_8(c),
#define BERTH_ROWS_4 BERTH_ROWS_3 BERTH_ROW_8(d),
#define BERTH_ROWS_5 BERTH_ROWS_4 BERTH_ROW_8(e),
#define BERTH_ROWS_6 BERTH_ROWS_5 BERTH_ROW_8(f),
#define BERTH_ROWS_7 BERTH_ROWS_6 BERTH_ROW_8(g),
#define BERTH_OPEN_1 {}
#define BERTH_OPEN_2 BERTH_OPEN_1, {}
#define BERTH_OPEN_3 BERTH_OPEN_2, {}
#define BERTH_OPEN_4 BERTH_OPEN_3, {}
#define BERTH_OPEN_5 BERTH_OPEN_4, {}
#define BERTH_OPEN_6 BERTH_OPEN_5, {}
#define BERTH_OPEN_7 BERTH_OPEN_6, {}
#define BERTH_OPEN_8 BERTH_OPEN_7, {}
#define BERTH_OPENS_0
#define BERTH_OPENS_1 BERTH_OPENS_0 BERTH_OPEN_8,
#define BERTH_OPENS_2 BERTH_OPENS_1 BERTH_OPEN_8,
#define BERTH_OPENS_3 BERTH_OPENS_2 BERTH_OPEN_8,
#define BERTH_OPENS_4 BERTH_OPENS_3 BERTH_OPEN_8,
#define BERTH_OPENS_5 BERTH_OPENS_4 BERTH_OPEN_8,
#define BERTH_OPENS_6 BERTH_OPENS_5 BERTH_OPEN_8,
#define BERTH_OPENS_7 BERTH_OPENS_6 BERTH_OPEN_8,
#define BERTH_MEMBERS(q, r, p)                                                              \
  template <>                                                                               \
  struct members<8 * (q) + (r)> {                                                           \
    template <class T>                                                                      \
    static constexpr bool takes = requires { T{BERTH_OPENS_##q BERTH_OPEN_##r}; };          \
    template <class T>                                                                      \
    static constexpr bool takes_more =                                                      \
        requires { T{BERTH_OPENS_##q BERTH_OPEN_##r, anything{}}; };                        \
    template <class T, class F>                                                             \
    static constexpr decltype(auto) visit(T& x, F&& f) {                                    \
      auto& [BERTH_ROWS_##q BERTH_ROW_##r(p)] = x;                                          \
      return std::forward<F>(f)(BERTH_ROWS_##q BERTH_ROW_##r(p));                           \
    }                                                                                       \
  };
BERTH_MEMBERS(0, 1, a) BERTH_MEMBERS(0, 2, a) BERTH_MEMBERS(0, 3, a) BERTH_MEMBERS(0, 4, a)
BERTH_MEMBERS(0, 5, a) BERTH_MEMBERS(0, 6, a) BERTH_MEMBERS(0, 7, a) BERTH_MEMBERS(0, 8, a)
BERTH_MEMBERS(1, 1, b) BERTH_MEMBERS(1, 2, b) BERTH_MEMBERS(1, 3, b) BERTH_MEMBERS(1, 4, b)
BERTH_MEMBERS(1, 5, b) BERTH_MEMBERS(1, 6, b) BERTH_MEMBERS(1, 7, b) BERTH_MEMBERS(1, 8, b)
BERTH_MEMBERS(2, 1, c) BERTH_MEMBERS(2, 2, c) BERTH_MEMBERS(2, 3, c) BERTH_MEMBERS(2, 4, c)
BERTH_MEMBERS(2, 5, c) BERTH_MEMBERS(2, 6, c) BERTH_MEMBERS(2, 7, c) BERTH_MEMBERS(2, 8, c)
BERTH_MEMBERS(3, 1, d) BERTH_MEMBERS(3, 2, d) BERTH_MEMBERS(3, 3, d) BERTH_MEMBERS(3, 4, d)
BERTH_MEMBERS(3, 5, d) BERTH_MEMBERS(3, 6, d) BERTH_MEMBERS(3, 7, d) BERTH_MEMBERS(3, 8, d)
BERTH_MEMBERS(4, 1, e) BERTH_MEMBERS(4, 2, e) BERTH_MEMBERS(4, 3, e) BERTH_MEMBERS(4, 4, e)
BERTH_MEMBERS(4, 5, e) BERTH_MEMBERS(4, 6, e) BERTH_MEMBERS(4, 7, e) BERTH_MEMBERS(4, 8, e)
BERTH_MEMBERS(5, 1, f) BERTH_MEMBERS(5, 2, f) BERTH_MEMBERS(5, 3, f) BERTH_MEMBERS(5, 4, f)
BERTH_MEMBERS(5, 5, f) BERTH_MEMBERS(5, 6, f) BERTH_MEMBERS(5, 7, f) BERTH_MEMBERS(5, 8, f)
BERTH_MEMBERS(6, 1, g) BERTH_MEMBERS(6, 2, g) BERTH_MEMBERS(6, 3, g) BERTH_MEMBERS(6, 4, g)
BERTH_MEMBERS(6, 5, g) BERTH_MEMBERS(6, 6, g) BERTH_MEMBERS(6, 7, g) BERTH_MEMBERS(6, 8, g)
BERTH_MEMBERS(7, 1, h) BERTH_MEMBERS(7, 2, h) BERTH_MEMBERS(7, 3, h) BERTH_MEMBERS(7, 4, h)
BERTH_MEMBERS(7, 5, h) BERTH_MEMBERS(7, 6, h) BERTH_MEMBERS(7, 7, h) BERTH_MEMBERS(7, 8, h)
// clang-format on
#undef BERTH_MEMBERS
#undef BERTH_ROW_1
#undef BERTH_ROW_2
#undef BERTH_ROW_3
#undef BERTH_ROW_4
#undef BERTH_ROW_5
#undef BERTH_ROW_6
#undef BERTH_ROW_7
#undef BERTH_ROW_8
#undef BERTH_ROWS_0
#undef BERTH_ROWS_1
#undef BERTH_ROWS_2
#undef BERTH_ROWS_3
#undef BERTH_ROWS_4
#undef BERTH_ROWS_5
#undef BERTH_ROWS_6
#undef BERTH_ROWS_7
#undef BERTH_OPEN_1
#undef BERTH_OPEN_2
#undef BERTH_OPEN_3
#undef BERTH_OPEN_4
#undef BERTH_OPEN_5
#undef BERTH_OPEN_6
#undef BERTH_OPEN_7
#undef BERTH_OPEN_8
#undef BERTH_OPENS_0
#undef BERTH_OPENS_1
#undef BERTH_OPENS_2
#undef BERTH_OPENS_3
#undef BERTH_OPENS_4
#undef BERTH_OPENS_5
#undef BERTH_OPENS_6
#undef BERTH_OPENS_7

                                                                        template <class T,
                                                                                  std::size_t Low,
                                                                                  std::size_t High>
                                                                        constexpr std::size_t
    count_between() {
  if constexpr (Low == High) {
    return Low;
  } else {
    constexpr std::size_t middle = (Low + High + 1) / 2;
    if constexpr (members<middle>::template takes<T>)
      return count_between<T, middle, High>();
    else
      return count_between<T, Low, middle - 1>();
  }
}

}  // namespace detail

/// Number of members of the aggregate `T`, at most 64.
template <class T>
inline constexpr std::size_t member_count = detail::count_between<T, 0, detail::members_max>();

/// Whether `T` is an aggregate that reflection takes apart (its members may still be unsupported).
template <class T>
constexpr bool is_reflectable() {
  if constexpr (!std::is_class_v<T> || !std::is_aggregate_v<T>) {
    return false;
  } else if constexpr (requires { T{detail::any_base<T>{}}; }) {
    return false;
  } else {
    constexpr std::size_t n = member_count<T>;
    if constexpr (n == 0)
      return std::is_empty_v<T> && std::is_default_constructible_v<T>;
    else
      return !detail::members<n>::template takes_more<T>;
  }
}

/// Calls `f(members...)` with references to all members of `x`, C arrays as references to arrays.
template <class T, class F>
constexpr decltype(auto) visit_members(T& x, F&& f) {
  return detail::members<member_count<std::remove_const_t<T>>>::visit(x, std::forward<F>(f));
}

namespace detail {

struct list_members {
  template <class... Ms>
  constexpr type_list<Ms...> operator()(Ms&...) const {
    return {};
  }
};

template <class T>
struct holder {
  T value;
};

// Never defined: only addresses of its members are named, as template arguments.
#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wundefined-var-template"
#pragma clang diagnostic ignored "-Wundefined-internal"
#endif
template <class T>
extern const holder<T> nowhere;

template <class T>
struct address {
  const T* at;
};

template <std::size_t>
using any_pointer = const void*;

template <class Index>
struct pick;

template <std::size_t... Before>
struct pick<std::index_sequence<Before...>> {
  template <class M, class... After>
  static constexpr address<M> of(any_pointer<Before>..., const M* it, After...) {
    return {it};
  }
};

template <std::size_t I>
struct address_of_member {
  template <class... Ms>
  constexpr auto operator()(const Ms&... ms) const {
    return pick<std::make_index_sequence<I>>::of(&ms...);
  }
};

// `auto`: gcc would print the alias of a named return type behind the argument.
template <auto Address>
consteval auto printed() {
  return std::string_view(__PRETTY_FUNCTION__);
}

/// The identifier at the end of what gcc prints ("…::label)}]") and clang ("…&nowhere.value.label}]").
constexpr std::string_view last_identifier(std::string_view text) {
  auto of_name = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'
           || static_cast<unsigned char>(c) >= 0x80;
  };
  while (!text.empty() && !of_name(text.back()))
    text.remove_suffix(1);
  std::size_t begin = text.size();
  while (begin > 0 && of_name(text[begin - 1]))
    --begin;
  return text.substr(begin);
}

}  // namespace detail

/// The types of the members, in order.
template <class T>
using member_types =
    decltype(visit_members(std::declval<T&>(), std::declval<detail::list_members>()));

/// The name of member `I` as written in the source.
template <class T, std::size_t I>
consteval std::string_view member_name() {
  constexpr auto at = visit_members(detail::nowhere<T>.value, detail::address_of_member<I>{});
  return detail::last_identifier(detail::printed<at>());
}
#if defined(__clang__)
#pragma clang diagnostic pop
#endif

namespace detail {

template <class T>
consteval auto printed_type() {
  return std::string_view(__PRETTY_FUNCTION__);
}

/// Cuts the type out of "… [with T = ns::name]" (gcc) or "… [T = ns::name]" (clang).
constexpr std::string_view type_in(std::string_view text) {
  const std::size_t at = text.find("T = ");
  if (at == std::string_view::npos) return text;
  text.remove_prefix(at + 4);
  std::size_t end = text.find(';');
  if (end == std::string_view::npos) end = text.rfind(']');
  return text.substr(0, end);
}

/// Drops namespaces: the part behind the last "::" that stands outside brackets.
constexpr std::string_view leaf(std::string_view name) {
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t i = 0; i + 1 < name.size(); ++i) {
    if (name[i] == '<' || name[i] == '(' || name[i] == '{') ++depth;
    if (name[i] == '>' || name[i] == ')' || name[i] == '}') --depth;
    if (depth == 0 && name[i] == ':' && name[i + 1] == ':') begin = i + 2;
  }
  return name.substr(begin);
}

}  // namespace detail

/// Name of `T` without its namespaces, for people. Template arguments read as the compiler prints them.
template <class T>
constexpr std::string_view type_name() {
  return detail::leaf(detail::type_in(detail::printed_type<T>()));
}

}  // namespace berth
