#pragma once
// The writing half of the codec: measure a value, then write it, in the same depth-first order.
//
// Included through <berth/codec.hpp>.

#include <berth/bytes.hpp>
#include <berth/error.hpp>
#include <berth/types.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace berth::codec {

/// From this size on a tail travels beside its block: the size from which a shared segment beats copying through the
/// ring (docs/protocol.md, "The hot block").
inline constexpr std::uint64_t external_bytes_min = 64 * 1024;

/// For blocks that must be self-contained.
inline constexpr std::uint64_t never_external = ~std::uint64_t{0};

/// Offsets have 32 bits.
inline constexpr std::uint64_t block_bytes_max = 0xFFFF'FFF0;

/// What a set of values needs in a frame.
struct plan {
  std::uint64_t bytes = 0;  ///< of the block, a multiple of 8
  std::uint32_t externals = 0;

  friend bool operator==(const plan&, const plan&) = default;
};

/// The error of a block that would exceed `block_bytes_max`.
[[nodiscard]] BERTH_API error_info too_large(const plan& p);

/// Errors: `invalid` (`too_large`) when the block would exceed `block_bytes_max`.
[[nodiscard]] inline result<void> check(const plan& p) {
  if (p.bytes <= block_bytes_max) [[likely]]
    return {};
  return too_large(p);
}

}  // namespace berth::codec

namespace berth::detail {

struct meter {
  std::uint64_t cursor = 0;
  std::uint32_t externals = 0;
  std::uint64_t external_min = 0;

  constexpr void tail(std::uint64_t count, std::size_t element, std::size_t align) {
    if (count != 0) cursor = (cursor + align - 1) / align * align + count * element;
  }

  constexpr void beside() {
    tail(1, 16, 8);
    ++externals;
  }
};

struct writer {
  std::byte* base = nullptr;
  std::uint64_t cursor = 0;
  std::vector<external>* externals = nullptr;
  std::uint64_t external_min = 0;

  void align(std::size_t to) {
    while (cursor % to != 0)
      base[cursor++] = std::byte{0};
  }

  /// Makes room for a tail and stores its reference at `at`; gives where the tail begins, null when it is empty.
  std::byte* tail(std::byte* at, std::uint64_t count, std::size_t element, std::size_t alignment) {
    if (count == 0) {
      std::memset(at, 0, 8);
      return nullptr;
    }
    align(alignment);
    refer(at, static_cast<std::uint32_t>(count));
    std::byte* const begin = base + cursor;
    cursor += count * element;
    return begin;
  }

  void beside(std::byte* at, std::uint64_t count, external payload) {
    align(8);
    refer(at, external_mark);
    const auto index = static_cast<std::uint32_t>(externals->size());
    const std::uint32_t zero = 0;
    std::memcpy(base + cursor, &count, 8);
    std::memcpy(base + cursor + 8, &index, 4);
    std::memcpy(base + cursor + 12, &zero, 4);
    cursor += 16;
    externals->push_back(std::move(payload));
  }

 private:
  void refer(std::byte* at, std::uint32_t count) const {
    const auto offset = static_cast<std::uint32_t>(cursor);
    std::memcpy(at, &offset, 4);
    std::memcpy(at + 4, &count, 4);
  }
};

template <class T>
constexpr void measure(meter& m, const T& x);
template <class T>
void put(writer& w, std::byte* at, const T& x);

template <class T>
inline constexpr bool is_contiguous = is_span<T> || is_contiguous_vector<T>;

/// A variant left without a value by a throwing assignment cannot be sent.
template <class T>
constexpr const T& chosen(const T& x) {
  if (x.valueless_by_exception())
    throw error(fail(kind::invalid, "bad_value", "a variant lost its value to an exception"));
  return x;
}

template <class T>
constexpr void measure_flat(meter& m, std::uint64_t count) {
  if (travels_beside<T> && count * sizeof(T) >= m.external_min)
    m.beside();
  else
    m.tail(count, sizeof(T), layout_of<T>.align);
}

/// Elements whose bytes in memory are their bytes on the wire, as one piece.
template <class T>
void put_flat(writer& w,
              std::byte* at,
              const T* data,
              std::uint64_t count,
              const std::shared_ptr<memory>& owner = nullptr) {
  const std::uint64_t size = count * sizeof(T);
  if (travels_beside<T> && size >= w.external_min) {
    w.beside(at, count, {reinterpret_cast<const std::byte*>(data), size, owner});
    if (owner && owner->segment() >= 0) owner->freeze();
  } else if (std::byte* to = w.tail(at, count, sizeof(T), layout_of<T>.align)) {
    std::memcpy(to, data, size);
  }
}

template <class T>
constexpr void measure_list(meter& m, const T& xs) {
  using element = std::remove_cv_t<element_of<T>>;
  constexpr layout inner = layout_of<element>;
  if constexpr (is_contiguous<T> && inner.packed) {
    measure_flat<element>(m, xs.size());
  } else {
    m.tail(xs.size(), inner.bytes, inner.align);
    if constexpr (!inner.fixed)
      for (const auto& x : xs)
        measure(m, x);
  }
}

template <class T>
void put_list(writer& w, std::byte* at, const T& xs) {
  using element = std::remove_cv_t<element_of<T>>;
  constexpr layout inner = layout_of<element>;
  if constexpr (is_contiguous<T> && inner.packed) {
    put_flat<element>(w, at, xs.data(), xs.size());
  } else {
    std::byte* to = w.tail(at, xs.size(), inner.bytes, inner.align);
    if (to == nullptr) return;
    if constexpr (!inner.packed) std::memset(to, 0, xs.size() * inner.bytes);
    for (const element& x : xs) {
      put(w, to, x);
      to += inner.bytes;
    }
  }
}

template <class T>
void put_map(writer& w, std::byte* at, const T& entries) {
  using entry = offsets<typename T::key_type, typename T::mapped_type>;
  std::byte* to = w.tail(at, entries.size(), entry::whole.bytes, entry::whole.align);
  if (to == nullptr) return;
  std::memset(to, 0, entries.size() * entry::whole.bytes);
  for (const auto& [key, mapped] : entries) {
    put(w, to + entry::at[0], key);
    put(w, to + entry::at[1], mapped);
    to += entry::whole.bytes;
  }
}

inline void put_long_double(std::byte* at, long double x) {
  std::memcpy(at, &x, 10);  // the x87 value; the six bytes behind it in memory are undefined
}

template <class T>
constexpr void measure(meter& m, const T& x) {
  constexpr category what = category_of<T>();
  if constexpr (layout_of<T>.fixed) {
    (void)m, (void)x;
  } else if constexpr (what == category::text || what == category::bytes) {
    measure_flat<std::remove_cvref_t<decltype(*x.data())>>(m, x.size());
  } else if constexpr (what == category::list || what == category::set) {
    measure_list(m, x);
  } else if constexpr (what == category::map) {
    using entry = offsets<typename T::key_type, typename T::mapped_type>;
    m.tail(x.size(), entry::whole.bytes, entry::whole.align);
    for (const auto& [key, mapped] : x)
      measure(m, key), measure(m, mapped);
  } else if constexpr (what == category::array) {
    for (const auto& one : x)
      measure(m, one);
  } else if constexpr (what == category::optional) {
    if (x) measure(m, *x);
  } else if constexpr (what == category::variant) {
    std::visit([&m](const auto& one) { measure(m, one); }, chosen(x));
  } else if constexpr (what == category::tuple || what == category::record) {
    each_part(x, [&m](std::size_t, const auto& one) { measure(m, one); });
  } else if constexpr (what == category::tensor) {
    m.tail(x.sizes().rank(), 8, 8);
    measure_flat<typename T::value_type>(m, x.size());
  } else {
    static_assert(what == category::foreign);
    measure(m, static_cast<const typename as<T>::wire&>(as<T>::to(x)));
  }
}

/// Writes `x` at `at`, where padding is already zero, and its tails behind the cursor.
template <class T>
void put(writer& w, std::byte* at, const T& x) {
  constexpr category what = category_of<T>();
  if constexpr (what == category::unit || what == category::unsupported) {
    *at = std::byte{0};
  } else if constexpr (layout_of<T>.packed) {
    std::memcpy(at, &x, sizeof(T));
  } else if constexpr (what == category::long_double) {
    put_long_double(at, x);
  } else if constexpr (what == category::text || what == category::bytes) {
    put_flat(w, at, x.data(), x.size());
  } else if constexpr (what == category::list || what == category::set) {
    put_list(w, at, x);
  } else if constexpr (what == category::map) {
    put_map(w, at, x);
  } else if constexpr (what == category::array) {
    for (const auto& one : x) {
      put(w, at, one);
      at += layout_of<std::remove_cv_t<element_of<T>>>.bytes;
    }
  } else if constexpr (what == category::optional) {
    if (!x) return;
    *at = std::byte{1};
    put(w, at + layout_of<T>.align, *x);
  } else if constexpr (what == category::variant) {
    *at = static_cast<std::byte>(chosen(x).index());
    std::visit([&](const auto& one) { put(w, at + layout_of<T>.align, one); }, x);
  } else if constexpr (what == category::tuple || what == category::record) {
    each_part(x, [&](std::size_t offset, const auto& one) { put(w, at + offset, one); });
  } else if constexpr (what == category::tensor) {
    put_flat(w, at, x.sizes().sizes().data(), x.sizes().rank());
    put_flat(w, at + 8, x.data().data(), x.size(), x.any().owner());
  } else {
    static_assert(what == category::foreign);
    put(w, at, static_cast<const typename as<T>::wire&>(as<T>::to(x)));
  }
}

}  // namespace berth::detail
