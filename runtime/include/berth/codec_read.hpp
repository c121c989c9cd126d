#pragma once
// The reading half of the codec. The block is a stranger's: everything is checked before it is used.
//
// Tails must lie in the order of the walk, each directly behind the last. So every byte of a block is read at most
// once, and what a reader allocates is bounded by the bytes it received. Included through <berth/codec.hpp>.

#include <berth/bytes.hpp>
#include <berth/error.hpp>
#include <berth/types.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace berth::codec {

/// Why a block was refused.
enum class flaw : std::uint8_t {
  none,
  too_short,     ///< ends before its fixed part does
  bad_offset,    ///< a tail that does not begin where the one before it ended
  bad_count,     ///< more elements than bytes left
  bad_external,  ///< an external out of order, missing, of another size, or of a type that has none
  bad_bool,      ///< a bool that is neither 0 nor 1
  bad_choice,    ///< a variant's index or an optional's mark out of range
  bad_tensor,    ///< extents that do not multiply to the number of elements
  doubled_key,   ///< a key that a map or set already holds
  misaligned,    ///< a view of elements that do not lie aligned
  trailing,      ///< bytes or externals nobody refers to
};

/// The flaw as an error: `invalid`, `bad_block`, in words.
[[nodiscard]] BERTH_API error_info explain(flaw f);

}  // namespace berth::codec

namespace berth::detail {

using codec::flaw;

template <class T>
T load(const std::byte* from) {
  T x;
  std::memcpy(&x, from, sizeof(T));
  return x;
}

/// A tail as found: inside the block, or beside it.
struct tail_view {
  const std::byte* data = nullptr;
  std::uint64_t count = 0;
  const external* beside = nullptr;
};

struct reader {
  const std::byte* base = nullptr;
  std::uint64_t size = 0;
  std::uint64_t cursor = 0;
  std::span<const external> externals;
  std::size_t externals_read = 0;
  flaw why = flaw::none;

  reader(const block_view& view, std::uint64_t fixed)
      : base(view.block.data()), size(view.block.size()), cursor(fixed), externals(view.externals) {
    if (size < fixed) why = flaw::too_short;
  }

  bool refuse(flaw f) {
    why = f;
    return false;
  }

  /// Finds the tail whose reference stands at `at` and moves the cursor behind it.
  bool tail(const std::byte* at,
            std::size_t element,
            std::size_t align,
            bool may_stand_beside,
            tail_view& found) {
    const auto offset = load<std::uint32_t>(at);
    const auto count = load<std::uint32_t>(at + 4);
    if (count == 0) return offset == 0 || refuse(flaw::bad_offset);
    const std::uint64_t begin = (cursor + align - 1) / align * align;
    if (count == external_mark) [[unlikely]]
      return may_stand_beside ? beside(offset, element, found) : refuse(flaw::bad_external);
    if (offset != begin || begin > size) return refuse(flaw::bad_offset);
    if (count > (size - begin) / element) return refuse(flaw::bad_count);
    cursor = begin + count * element;
    found = {base + begin, count, nullptr};
    return true;
  }

  /// Ends the walk: nothing may be left over but the padding to 8 bytes.
  flaw finish() {
    if (why != flaw::none) return why;
    if (align_up(cursor, 8) != size || externals_read != externals.size()) why = flaw::trailing;
    return why;
  }

 private:
  bool beside(std::uint32_t offset, std::size_t element, tail_view& found) {
    const std::uint64_t begin = align_up(cursor, 8);
    if (offset != begin || begin > size) return refuse(flaw::bad_offset);
    if (size - begin < 16) return refuse(flaw::bad_count);
    const auto count = load<std::uint64_t>(base + begin);
    const auto index = load<std::uint32_t>(base + begin + 8);
    if (index != externals_read || index >= externals.size()) return refuse(flaw::bad_external);
    const external& payload = externals[index];
    if (payload.bytes / element != count || payload.bytes % element != 0 || count == 0)
      return refuse(flaw::bad_external);
    cursor = begin + 16;
    ++externals_read;
    found = {payload.data, count, &payload};
    return true;
  }
};

// What a parameter is kept as, and how it is handed to the function.

template <class P>
struct stored_as {
  using type = std::remove_cvref_t<P>;
};

template <class E>

requires(!layout_of<std::remove_cv_t<E>>.same) struct stored_as<std::span<const E>> {
  using type = std::vector<E>;
};

template <class P>
using stored = typename stored_as<std::remove_cvref_t<P>>::type;

/// `kept` as a parameter declared `P`.
template <class P>
decltype(auto) pass(stored<P>& kept) {
  if constexpr (is_span<std::remove_cvref_t<P>>)
    return std::remove_cvref_t<P>(kept);
  else if constexpr (std::is_lvalue_reference_v<P>)
    return static_cast<const std::remove_reference_t<P>&>(kept);
  else
    return std::move(kept);
}

template <class T>
bool get(reader& r, const std::byte* at, T& x);

/// Whether `count` values of `T` at `data` are valid objects; only bools can fail.
template <class T>
bool valid(reader& r, const std::byte* data, std::uint64_t count) {
  if constexpr (!layout_of<T>.any_bits) {
    T scratch{};
    for (std::uint64_t i = 0; i < count; ++i)
      if (!get(r, data + i * layout_of<T>.bytes, scratch)) return false;
  }
  return true;
}

inline bool aligned(const std::byte* data, std::size_t to) {
  return reinterpret_cast<std::uintptr_t>(data) % to == 0;
}

template <class T>
bool get_view(reader& r, const std::byte* at, std::span<const T>& x) {
  tail_view found;
  if (!r.tail(at, sizeof(T), layout_of<T>.align, travels_beside<T>, found)) return false;
  if (!aligned(found.data, alignof(T))) return r.refuse(flaw::misaligned);
  if (!valid<T>(r, found.data, found.count)) return false;
  x = {reinterpret_cast<const T*>(found.data), found.count};
  return true;
}

/// Elements that can be copied as one piece.
template <class T>
bool get_flat(reader& r, const std::byte* at, std::vector<T>& xs) {
  tail_view found;
  if (!r.tail(at, sizeof(T), layout_of<T>.align, travels_beside<T>, found)) return false;
  if (found.count == 0) {
    xs.clear();
  } else if (aligned(found.data, alignof(T))) {
    const T* const begin = reinterpret_cast<const T*>(found.data);
    xs.assign(begin, begin + found.count);
  } else {
    xs.resize(found.count);
    std::memcpy(xs.data(), found.data, found.count * sizeof(T));
  }
  return true;
}

template <class T>
bool get_list(reader& r, const std::byte* at, T& xs) {
  using element = std::remove_cv_t<element_of<T>>;
  constexpr layout inner = layout_of<element>;
  if constexpr (is_span<T>) {
    return get_view(r, at, xs);
  } else if constexpr (is_contiguous_vector<T> && inner.same && inner.any_bits) {
    return get_flat(r, at, xs);
  } else {
    tail_view found;
    if (!r.tail(at, inner.bytes, inner.align, travels_beside<element>, found)) return false;
    if constexpr (requires { xs.resize(found.count); } && !std::is_same_v<element, bool>) {
      xs.resize(found.count);
      for (auto& x : xs) {
        if (!get(r, found.data, x)) return false;
        found.data += inner.bytes;
      }
    } else {
      xs.clear();
      for (std::uint64_t i = 0; i < found.count; ++i) {
        element x{};
        if (!get(r, found.data + i * inner.bytes, x)) return false;
        if constexpr (category_of<T>() == category::set) {
          xs.insert(std::move(x));
          if (xs.size() != i + 1) return r.refuse(flaw::doubled_key);
        } else {
          xs.push_back(std::move(x));
        }
      }
    }
    return true;
  }
}

template <class T>
bool get_map(reader& r, const std::byte* at, T& entries) {
  using entry = offsets<typename T::key_type, typename T::mapped_type>;
  tail_view found;
  if (!r.tail(at, entry::whole.bytes, entry::whole.align, false, found)) return false;
  entries.clear();
  for (std::uint64_t i = 0; i < found.count; ++i) {
    const std::byte* const one = found.data + i * entry::whole.bytes;
    typename T::key_type key{};
    typename T::mapped_type mapped{};
    if (!get(r, one + entry::at[0], key) || !get(r, one + entry::at[1], mapped)) return false;
    entries.emplace(std::move(key), std::move(mapped));
    if (entries.size() != i + 1) return r.refuse(flaw::doubled_key);
  }
  return true;
}

template <class T>
bool get_optional(reader& r, const std::byte* at, T& x) {
  const auto mark = std::to_integer<unsigned>(*at);
  if (mark > 1) return r.refuse(flaw::bad_choice);
  if (mark == 0) {
    x.reset();
    return true;
  }
  if (!x) x.emplace();
  return get(r, at + layout_of<T>.align, *x);
}

template <std::size_t I, class T>
bool get_alternative(reader& r, const std::byte* at, T& x) {
  if (x.index() != I) x.template emplace<I>();
  return get(r, at + layout_of<T>.align, *std::get_if<I>(&x));
}

template <class T>
bool get_variant(reader& r, const std::byte* at, T& x) {
  const auto index = std::to_integer<std::size_t>(*at);
  if (index >= std::variant_size_v<T>) return r.refuse(flaw::bad_choice);
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    bool good = false;
    (void)((index == I && (good = get_alternative<I>(r, at, x), true)) || ...);
    return good;
  }
  (std::make_index_sequence<std::variant_size_v<T>>{});
}

/// Shares a payload that has an owner, copies any other. Defined in runtime/value.
BERTH_API bool get_tensor(reader& r, const std::byte* at, dtype type, any_tensor& x);

template <class T>
bool get_tensor(reader& r, const std::byte* at, tensor<T>& x) {
  any_tensor any;
  if (!get_tensor(r, at, dtype_for<T>(), any)) return false;
  x = std::move(*tensor<T>::from(std::move(any)));
  return true;
}

template <class T>
bool get(reader& r, const std::byte* at, T& x) {
  constexpr category what = category_of<T>();
  if constexpr (what == category::unit || what == category::unsupported) {
    return true;
  } else if constexpr (is_boolean<T>) {
    const auto bits = std::to_integer<unsigned>(*at);
    if (bits > 1) return r.refuse(flaw::bad_bool);
    x = static_cast<T>(bits != 0);
    return true;
  } else if constexpr (layout_of<T>.same && layout_of<T>.any_bits) {
    std::memcpy(&x, at, sizeof(T));
    return true;
  } else if constexpr (what == category::long_double) {
    x = 0;
    std::memcpy(&x, at, 10);
    return true;
  } else if constexpr (what == category::text) {
    tail_view found;
    if (!r.tail(at, 1, 1, true, found)) return false;
    const std::string_view text(reinterpret_cast<const char*>(found.data), found.count);
    x = text;
    return true;
  } else if constexpr (what == category::bytes) {
    if constexpr (is_span<T>)
      return get_view(r, at, x);
    else
      return get_flat(r, at, x);
  } else if constexpr (what == category::list || what == category::set) {
    return get_list(r, at, x);
  } else if constexpr (what == category::map) {
    return get_map(r, at, x);
  } else if constexpr (what == category::array) {
    for (auto& one : x) {
      if (!get(r, at, one)) return false;
      at += layout_of<std::remove_cv_t<element_of<T>>>.bytes;
    }
    return true;
  } else if constexpr (what == category::optional) {
    return get_optional(r, at, x);
  } else if constexpr (what == category::variant) {
    return get_variant(r, at, x);
  } else if constexpr (what == category::tuple || what == category::record) {
    bool good = true;
    each_part(x, [&](std::size_t offset, auto& one) { good = good && get(r, at + offset, one); });
    return good;
  } else if constexpr (what == category::tensor) {
    return get_tensor(r, at, x);
  } else {
    static_assert(what == category::foreign);
    typename as<T>::wire wire{};
    if (!get(r, at, wire)) return false;
    x = as<T>::from(std::move(wire));
    return true;
  }
}

}  // namespace berth::detail
