#pragma once
// codec: C++ values to and from the hot block.
//
// One flat, 8-aligned, little-endian block: the fixed part as C would lay it out, then tails reached by offset and
// count, in the order of a depth-first walk and without gaps. A reader therefore knows where each tail must begin; a
// block that says otherwise is refused, which bounds what it can make the reader allocate. Tails of 64 KiB or more
// stand beside the block as externals. The layout is specified in docs/protocol.md, "The hot block".
//
//   codec::pack<double, double, std::string_view> is what a call f(double, double, std::string_view) carries:
//   plan p = pack::measure(a, b, s);  reserve p.bytes in the frame;  pack::write(out, externals, a, b, s);
//   pack::decoded in;  if (flaw f = in.read(view); f != flaw::none) …;  in.apply(function);

#include <berth/bytes.hpp>
#include <berth/codec_read.hpp>
#include <berth/codec_write.hpp>
#include <berth/error.hpp>
#include <berth/types.hpp>
#include <cstddef>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace berth::codec {

/// Whether a decoded `T` points into the block it was read from.
template <class T>
inline constexpr bool borrows = berth::detail::layout_of<T>.borrows;

/// What a parameter declared `P` is kept as while the call runs: the value without reference and const; a span whose
/// elements are not trivially copyable is kept as a vector.
template <class P>
using stored = berth::detail::stored<P>;

/// The values one frame carries: the parameters of a call, or one result. `Ps` as declared in the function's type.
template <class... Ps>
class pack {
 public:
  using offsets = berth::detail::offsets<stored<Ps>...>;

  /// Whether `measure` is a constant.
  static constexpr bool fixed = offsets::whole.fixed;

  /// Bytes of the block and number of externals. Cost: nothing when `fixed`, else a walk over what has tails.
  [[nodiscard]] static constexpr plan measure(const std::remove_cvref_t<Ps>&... xs) {
    return measure_with(external_bytes_min, xs...);
  }

  /// Writes exactly `measure(xs...).bytes` bytes to `out` (8-aligned) and appends the externals; each borrows from its
  /// argument or shares a tensor's owner, which is frozen when it is shared memory. Allocates only in `externals`.
  static void write(std::byte* out,
                    std::vector<external>& externals,
                    const std::remove_cvref_t<Ps>&... xs) {
    write_with(external_bytes_min, out, &externals, xs...);
  }

  /// The same with every tail inside the block.
  [[nodiscard]] static plan measure_inline(const std::remove_cvref_t<Ps>&... xs) {
    return measure_with(never_external, xs...);
  }

  static void write_inline(std::byte* out, const std::remove_cvref_t<Ps>&... xs) {
    write_with(never_external, out, nullptr, xs...);
  }

  /// Arguments read from a block. Views among them point into it: it must outlive this object. May be reused for the
  /// next call: strings and vectors keep their memory.
  class decoded {
   public:
    /// Throws what `as<T>::from` throws; `std::bad_alloc`. Bounds every size by the bytes received before it allocates.
    [[nodiscard]] flaw read(const block_view& view) {
      berth::detail::reader r(view, offsets::whole.bytes * (sizeof...(Ps) > 0));
      if (r.why != flaw::none) return r.why;
      read_each(r, std::index_sequence_for<Ps...>{});
      return r.finish();
    }

    /// `f(arguments...)`, each as its parameter was declared; values are moved from.
    template <class F>
    decltype(auto) apply(F&& f) {
      return apply_each(std::forward<F>(f), std::index_sequence_for<Ps...>{});
    }

    [[nodiscard]] std::tuple<stored<Ps>...>& values() noexcept { return values_; }

   private:
    template <std::size_t... I>
    void read_each(berth::detail::reader& r, std::index_sequence<I...>) {
      (void)(berth::detail::get(r, r.base + offsets::at[I], std::get<I>(values_)) && ...);
    }

    template <class F, std::size_t... I>
    decltype(auto) apply_each(F&& f, std::index_sequence<I...>) {
      return std::forward<F>(f)(berth::detail::pass<Ps>(std::get<I>(values_))...);
    }

    std::tuple<stored<Ps>...> values_{};
  };

 private:
  static constexpr plan measure_with(std::uint64_t external_min,
                                     const std::remove_cvref_t<Ps>&... xs) {
    if constexpr (sizeof...(Ps) == 0) {
      return {};
    } else {
      berth::detail::meter m{offsets::whole.bytes, 0, external_min};
      (berth::detail::measure(m, xs), ...);
      return {berth::detail::align_up(m.cursor, 8), m.externals};
    }
  }

  static void write_with(std::uint64_t external_min,
                         std::byte* out,
                         std::vector<external>* externals,
                         const std::remove_cvref_t<Ps>&... xs) {
    if constexpr (sizeof...(Ps) > 0) {
      berth::detail::writer w{out, offsets::whole.bytes, externals, external_min};
      if constexpr (!offsets::whole.packed) std::memset(out, 0, offsets::whole.bytes);
      std::size_t i = 0;
      (berth::detail::put(w, out + offsets::at[i++], xs), ...);
      w.align(8);
    }
  }
};

/// A block that holds `x` alone; large tails go to `externals`, which borrow from `x`.
/// Throws `invalid` when `x` does not fit a block.
template <class T>
[[nodiscard]] bytes encode(std::vector<external>& externals, const T& x) {
  const plan p = pack<T>::measure(x);
  check(p).value();
  bytes block(p.bytes);
  pack<T>::write(block.data(), externals, x);
  return block;
}

/// A block that holds `x` alone, every tail inside.
template <class T>
[[nodiscard]] std::string encode_inline(const T& x) {
  const plan p = pack<T>::measure_inline(x);
  check(p).value();
  std::string block(p.bytes, '\0');
  pack<T>::write_inline(reinterpret_cast<std::byte*>(block.data()), x);
  return block;
}

/// The one value of type `T` in a block. A `T` that borrows points into it.
/// Errors: `invalid` (`bad_block`) for a block that breaks the layout, or what `as<T>::from` refused with.
template <class T>
[[nodiscard]] result<T> read(const block_view& view) {
  if constexpr (std::is_void_v<T>) {
    if (!view.block.empty() || !view.externals.empty()) return explain(flaw::trailing);
    return {};
  } else {
    static_assert(std::is_same_v<T, stored<T>>, "read gives values: take the vector, not a span");
    typename pack<T>::decoded in;
    try {
      if (const flaw f = in.read(view); f != flaw::none) return explain(f);
    } catch (const berth::error& e) {
      return e.info();
    }
    return std::move(std::get<0>(in.values()));
  }
}

}  // namespace berth::codec
