#pragma once
// Which C++ types travel, and how each lies in a hot block.
//
// Every type berth carries belongs to one category; a type that belongs to none is refused by a static_assert whose
// note names it. From the category follows the type's fixed part: size and alignment (docs/protocol.md, "The hot
// block"), whether it has tails, and whether its bytes in memory are its bytes on the wire.

#include <array>
#include <berth/as.hpp>
#include <berth/bytes.hpp>
#include <berth/reflect.hpp>
#include <berth/tensor.hpp>
#include <bit>
#include <cfloat>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace berth {

static_assert(std::endian::native == std::endian::little,
              "berth's hot block is the memory layout of a little-endian machine");

/// Results and parameters of that type are streams of `T`, not values.
template <class T>
class stream;

namespace detail {

enum class category : std::uint8_t {
  unsupported,
  unit,
  scalar,
  long_double,
  enumeration,
  duration,
  time,
  text,
  bytes,
  list,
  set,
  map,
  array,
  optional,
  variant,
  tuple,
  record,
  tensor,
  foreign,
};

template <class T>
inline constexpr bool is_duration = false;
template <class Rep, class Period>
inline constexpr bool is_duration<std::chrono::duration<Rep, Period>> =
    std::is_arithmetic_v<Rep> && sizeof(Rep) <= 8;
template <class T>
inline constexpr bool is_time = false;
template <class D>
inline constexpr bool is_time<std::chrono::time_point<std::chrono::system_clock, D>> =
    is_duration<D>;
template <class T>
inline constexpr bool is_tensor = false;
template <class E>
inline constexpr bool is_tensor<tensor<E>> = true;
template <class T>
inline constexpr bool is_optional = false;
template <class E>
inline constexpr bool is_optional<std::optional<E>> = true;
template <class T>
inline constexpr bool is_variant = false;
template <class... Es>
inline constexpr bool is_variant<std::variant<Es...>> = sizeof...(Es) <= 256;
template <class T>
inline constexpr bool is_tuple = false;
template <class... Es>
inline constexpr bool is_tuple<std::tuple<Es...>> = true;
template <class A, class B>
inline constexpr bool is_tuple<std::pair<A, B>> = true;
template <class T>
inline constexpr bool is_std_array = false;
template <class E, std::size_t N>
inline constexpr bool is_std_array<std::array<E, N>> = true;
template <class T>
inline constexpr bool is_vector = false;
template <class E, class A>
inline constexpr bool is_vector<std::vector<E, A>> = true;
/// Only a span of const elements is a value that can travel; a mutable one is a promise berth cannot keep.
template <class T>
inline constexpr bool is_span = false;
template <class E>
inline constexpr bool is_span<std::span<const E>> = true;
template <class T>
inline constexpr bool is_stream = false;
template <class T>
inline constexpr bool is_stream<stream<T>> = true;

template <class T>
concept foreign = requires {
  typename as<T>::wire;
};

/// std::map, std::unordered_map and what looks like them.
template <class T>
concept map_like = requires(T c, typename T::key_type k, typename T::mapped_type m) {
  typename T::allocator_type;
  c.emplace(std::move(k), std::move(m));
  c.size();
  c.clear();
};

/// std::set, std::unordered_set and what looks like them.
template <class T>
concept set_like = !map_like<T> && requires(T c, typename T::key_type k) {
  typename T::allocator_type;
  c.insert(std::move(k));
  c.size();
  c.clear();
};

/// std::vector, std::deque, std::list and what looks like them.
template <class T>
concept sequence_like = requires(T c, typename T::value_type e) {
  typename T::allocator_type;
  c.push_back(std::move(e));
  c.begin();
  c.end();
  c.size();
  c.clear();
};

template <class T>
constexpr category category_of() {
  if constexpr (foreign<T>)
    return category::foreign;
  else if constexpr (std::is_void_v<T> || std::same_as<T, std::monostate>)
    return category::unit;
  else if constexpr (std::same_as<T, long double>)
    return LDBL_MANT_DIG == 64 ? category::long_double : category::unsupported;
  else if constexpr (std::same_as<T, std::byte>)
    return category::scalar;
  else if constexpr (std::is_arithmetic_v<T>)
    return sizeof(T) <= 8 ? category::scalar : category::unsupported;
  else if constexpr (std::is_enum_v<T>)
    return category::enumeration;
  else if constexpr (is_duration<T>)
    return category::duration;
  else if constexpr (is_time<T>)
    return category::time;
  else if constexpr (std::same_as<T, std::string> || std::same_as<T, std::string_view>)
    return category::text;
  else if constexpr (std::same_as<T, bytes> || std::same_as<T, std::span<const std::byte>>)
    return category::bytes;
  else if constexpr (is_std_array<T> || std::is_bounded_array_v<T>)
    return category::array;
  else if constexpr (is_optional<T>)
    return category::optional;
  else if constexpr (is_variant<T>)
    return category::variant;
  else if constexpr (is_tuple<T>)
    return category::tuple;
  else if constexpr (is_tensor<T>)
    return category::tensor;
  else if constexpr (is_span<T>)
    return category::list;
  else if constexpr (map_like<T>)
    return category::map;
  else if constexpr (set_like<T>)
    return category::set;
  else if constexpr (std::is_class_v<T> && sequence_like<T>)
    return category::list;
  else if constexpr (is_reflectable<T>())
    return category::record;
  else
    return category::unsupported;
}

/// The parts a type is made of, as it is declared: what the checks and the layout walk.
template <class T>
struct parts_of {
  using type = type_list<>;
};

template <class E>
struct parts_of<std::optional<E>> {
  using type = type_list<E>;
};

template <class... Es>
struct parts_of<std::variant<Es...>> {
  using type = type_list<Es...>;
};

template <class... Es>
struct parts_of<std::tuple<Es...>> {
  using type = type_list<Es...>;
};

template <class A, class B>
struct parts_of<std::pair<A, B>> {
  using type = type_list<A, B>;
};

template <class E, std::size_t N>
struct parts_of<std::array<E, N>> {
  using type = type_list<E>;
  static constexpr std::size_t extent = N;
};

template <class E, std::size_t N>
struct parts_of<E[N]> {
  using type = type_list<E>;
  static constexpr std::size_t extent = N;
};

template <class T>

requires(category_of<T>() == category::list
         || category_of<T>() == category::set) struct parts_of<T> {
  using type = type_list<std::remove_cv_t<typename T::value_type>>;
};

template <class T>

requires(category_of<T>() == category::map) struct parts_of<T> {
  using type = type_list<typename T::key_type, typename T::mapped_type>;
};

template <class T>

requires(category_of<T>() == category::record) struct parts_of<T> {
  using type = member_types<T>;
};

template <class T>

requires(category_of<T>() == category::foreign) struct parts_of<T> {
  using type = type_list<typename as<T>::wire>;
};

template <class List>
struct first_of;

template <class First, class... Rest>
struct first_of<type_list<First, Rest...>> {
  using type = First;
};

/// The element of a list, set, array or optional; the wire type of a foreign one.
template <class T>
using element_of = typename first_of<typename parts_of<T>::type>::type;

inline constexpr std::size_t nesting_max = 32;

/// How a type's fixed part lies in a block.
struct layout {
  std::size_t bytes = 1;
  std::size_t align = 1;
  std::size_t depth = 1;
  bool fixed = true;     ///< no tails
  bool same = false;     ///< its bytes in memory are its bytes on the wire (padding aside)
  bool packed = false;   ///< `same`, and no padding
  bool any_bits = true;  ///< every pattern is a valid object (no bool)
  bool borrows = false;  ///< decoded, it points into the block
};

constexpr std::size_t align_up(std::size_t at, std::size_t align) {
  return (at + align - 1) / align * align;
}

/// Lays parts one behind the other as C does.
struct sequence {
  layout all{.bytes = 0, .same = true, .packed = true};

  constexpr std::size_t add(const layout& one) {
    const std::size_t at = align_up(all.bytes, one.align);
    if (at != all.bytes) all.packed = false;
    all.bytes = at + one.bytes;
    if (one.align > all.align) all.align = one.align;
    if (one.depth + 1 > all.depth) all.depth = one.depth + 1;
    all.fixed &= one.fixed;
    all.same &= one.same;
    all.packed &= one.packed;
    all.any_bits &= one.any_bits;
    all.borrows |= one.borrows;
    return at;
  }

  constexpr layout done() {
    const std::size_t end = align_up(all.bytes == 0 ? 1 : all.bytes, all.align);
    if (end != all.bytes) all.packed = false;
    all.bytes = end;
    return all;
  }
};

template <class T, class... Outer>
constexpr layout layout_within();

template <class... Outer, class... Ts>
constexpr layout sequence_layout(type_list<Ts...>) {
  sequence s;
  (s.add(layout_within<std::remove_cv_t<Ts>, Outer...>()), ...);
  return s.done();
}

/// The reference that stands in the fixed part for a tail: offset and count, 32 bits each.
inline constexpr layout reference{.bytes = 8, .align = 4, .depth = 1, .fixed = false};

template <class T, class... Outer>
constexpr layout list_layout() {
  using element = std::remove_cv_t<element_of<T>>;
  constexpr layout inner = layout_within<element, Outer...>();
  layout all = reference;
  all.depth = inner.depth + 1;
  all.borrows = inner.borrows;
  if constexpr (is_span<T>) {
    static_assert(inner.same || sizeof...(Outer) == 1,
                  "a span inside another type must have trivially copyable elements");
    all.borrows = true;
  }
  return all;
}

template <class T, class... Outer>
constexpr layout array_layout() {
  constexpr layout inner = layout_within<std::remove_cv_t<element_of<T>>, Outer...>();
  constexpr std::size_t n = parts_of<T>::extent;
  layout all = inner;
  all.bytes = n == 0 ? 1 : n * inner.bytes;
  all.align = n == 0 ? 1 : inner.align;
  all.depth = inner.depth + 1;
  all.same = inner.same && n != 0;
  all.packed = inner.packed && n != 0;
  return all;
}

template <class... Outer, class... Ts>
constexpr layout choice_layout(type_list<Ts...>) {
  layout all;
  std::size_t most = 1;
  (
      [&](const layout& one) {
        most = std::max(most, one.bytes);
        all.align = std::max(all.align, one.align);
        all.depth = std::max(all.depth, one.depth + 1);
        all.fixed &= one.fixed;
        all.borrows |= one.borrows;
      }(layout_within<std::remove_cv_t<Ts>, Outer...>()),
      ...);
  all.bytes = align_up(all.align + most, all.align);  // the index, then the chosen part
  return all;
}

/// bool, or an enumeration over it: the one scalar that does not allow every bit pattern.
template <class T>
constexpr bool is_boolean_or_over_it() {
  if constexpr (std::is_enum_v<T>)
    return std::same_as<std::underlying_type_t<T>, bool>;
  else
    return std::same_as<T, bool>;
}

template <class T>
inline constexpr bool is_boolean = is_boolean_or_over_it<T>();

template <class T>
constexpr layout scalar_layout() {
  return {.bytes = sizeof(T),
          .align = sizeof(T),
          .same = alignof(T) == sizeof(T),
          .packed = true,
          .any_bits = !is_boolean<T>};
}

template <class T, class... Outer>
constexpr layout layout_within() {
  constexpr category what = category_of<T>();
  static_assert(
      what != category::unsupported,
      "berth cannot carry this type (see T in the notes): it is neither a supported standard type "
      "nor a "
      "plain aggregate of at most 64 members with defaults; specialise berth::as<T> for it");
  static_assert(!(std::same_as<T, Outer> || ...), "berth cannot carry a type that contains itself");
  static_assert(sizeof...(Outer) < nesting_max, "berth carries types nested at most 32 deep");
  if constexpr (what == category::unsupported || (std::same_as<T, Outer> || ...)
                || sizeof...(Outer) >= nesting_max)
    return {};
  else if constexpr (what == category::unit)
    return {.packed = false};
  else if constexpr (what == category::scalar || what == category::enumeration)
    return scalar_layout<T>();
  else if constexpr (what == category::long_double)
    return {.bytes = 16, .align = 8};
  else if constexpr (what == category::duration)
    return scalar_layout<typename T::rep>();
  else if constexpr (what == category::time)
    return scalar_layout<typename T::rep>();
  else if constexpr (what == category::text || what == category::bytes) {
    layout all = reference;
    all.borrows = std::same_as<T, std::string_view> || is_span<T>;
    return all;
  } else if constexpr (what == category::list || what == category::set)
    return list_layout<T, T, Outer...>();
  else if constexpr (what == category::map) {
    constexpr layout entry = sequence_layout<T, Outer...>(typename parts_of<T>::type{});
    layout all = reference;
    all.depth = entry.depth + 1;
    all.borrows = entry.borrows;
    return all;
  } else if constexpr (what == category::array)
    return array_layout<T, T, Outer...>();
  else if constexpr (what == category::optional || what == category::variant)
    return choice_layout<T, Outer...>(typename parts_of<T>::type{});
  else if constexpr (what == category::tuple) {
    layout all = sequence_layout<T, Outer...>(typename parts_of<T>::type{});
    all.same = all.packed = false;
    return all;
  } else if constexpr (what == category::record) {
    layout all = sequence_layout<T, Outer...>(typename parts_of<T>::type{});
    all.same = all.same && std::is_trivially_copyable_v<T> && sizeof(T) == all.bytes
               && alignof(T) == all.align && !std::is_empty_v<T>;
    all.packed = all.packed && all.same;
    return all;
  } else if constexpr (what == category::tensor)
    return {.bytes = 16, .align = 4, .fixed = false};
  else {
    layout all = layout_within<std::remove_cv_t<typename as<T>::wire>, T, Outer...>();
    all.same = all.packed = false;
    return all;
  }
}

template <class T>
inline constexpr layout layout_of = layout_within<T>();

/// Whether a list of `T` of 64 KiB or more travels beside the block.
template <class T>
inline constexpr bool travels_beside =
    layout_of<T>.same&& layout_of<T>.packed&& layout_of<T>.any_bits;

/// Stands in a reference's count when the tail is a 16-byte record that names an external.
inline constexpr std::uint32_t external_mark = 0xFFFF'FFFF;

/// A vector whose elements lie one behind the other in memory.
template <class T>
inline constexpr bool is_contiguous_vector =
    is_vector<T> && !std::is_same_v<typename parts_of<T>::type, type_list<bool>>;

/// Offsets of parts laid one behind the other.
template <class... Ts>
struct offsets {
  static constexpr auto at = [] {
    std::array<std::size_t, sizeof...(Ts) + 1> all{};
    sequence s;
    std::size_t i = 0;
    ((all[i++] = s.add(layout_of<std::remove_cv_t<Ts>>)), ...);
    return all;
  }();
  static constexpr layout whole = [] {
    sequence s;
    (s.add(layout_of<std::remove_cv_t<Ts>>), ...);
    return s.done();
  }();
};

template <class List>
struct offsets_of_list;

template <class... Ts>
struct offsets_of_list<type_list<Ts...>> : offsets<Ts...> {};

/// Calls `f(offset, part)` for every part of a tuple or record.
template <class T, class F>
constexpr void each_part(T& x, F&& f) {
  using at = offsets_of_list<typename parts_of<std::remove_const_t<T>>::type>;
  auto visit = [&f](auto&... ms) {
    [[maybe_unused]] std::size_t i = 0;
    (f(at::at[i++], ms), ...);
  };
  if constexpr (category_of<std::remove_const_t<T>>() == category::tuple)
    std::apply(visit, x);
  else
    visit_members(x, visit);
}

}  // namespace detail

}  // namespace berth
