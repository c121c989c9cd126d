#pragma once
// Tensors: a dense row-major array with element type and extents, made to travel without a copy.
//
// A tensor is a value whose bytes are shared until somebody writes: copying costs a reference. One created in shared
// memory (`rt.shared_tensor<float>({n, m})`) is frozen by sending it: the receiver maps the very same pages, so
// writing again needs a new tensor.

#include <array>
#include <berth/bytes.hpp>
#include <berth/error.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace berth {

/// Element type of a tensor. The numbers travel on the wire and never change.
enum class dtype : std::uint8_t {
  b8 = 1,
  i8 = 2,
  i16 = 3,
  i32 = 4,
  i64 = 5,
  u8 = 6,
  u16 = 7,
  u32 = 8,
  u64 = 9,
  f32 = 10,
  f64 = 11,
};

/// "f32"; empty for a number that is no dtype.
[[nodiscard]] BERTH_API std::string_view to_string(dtype d) noexcept;
/// The dtype of that name, or nothing.
[[nodiscard]] BERTH_API std::optional<dtype> dtype_from(std::string_view name) noexcept;
/// Bytes of one element; 0 for a number that is no dtype.
[[nodiscard]] BERTH_API std::size_t size_of(dtype d) noexcept;

namespace detail {

template <class T>
constexpr dtype dtype_for() {
  if constexpr (std::same_as<T, bool>)
    return dtype::b8;
  else if constexpr (std::same_as<T, float>)
    return dtype::f32;
  else if constexpr (std::same_as<T, double>)
    return dtype::f64;
  else if constexpr (std::signed_integral<T>)
    return sizeof(T) == 1   ? dtype::i8
           : sizeof(T) == 2 ? dtype::i16
           : sizeof(T) == 4 ? dtype::i32
                            : dtype::i64;
  else
    return sizeof(T) == 1   ? dtype::u8
           : sizeof(T) == 2 ? dtype::u16
           : sizeof(T) == 4 ? dtype::u32
                            : dtype::u64;
}

}  // namespace detail

/// What a tensor may hold: bool, the integers, float, double.
template <class T>
concept tensor_element = std::integral<T> || std::same_as<T, float> || std::same_as<T, double>;

/// Extents of a tensor, outermost first; rank 0 is one element. A value, no allocation.
class BERTH_API extents {
 public:
  static constexpr std::size_t rank_max = 8;

  extents() = default;
  /// Throws `invalid` above `rank_max` dimensions.
  extents(std::initializer_list<std::uint64_t> sizes);  // NOLINT(google-explicit-constructor)
  explicit extents(std::span<const std::uint64_t> sizes);

  [[nodiscard]] std::size_t rank() const noexcept { return rank_; }

  [[nodiscard]] std::span<const std::uint64_t> sizes() const noexcept {
    return {sizes_.data(), rank_};
  }

  [[nodiscard]] std::uint64_t operator[](std::size_t i) const noexcept { return sizes_[i]; }

  /// Product of all; nothing when it does not fit 64 bits.
  [[nodiscard]] std::optional<std::uint64_t> count() const noexcept;

  friend bool operator==(const extents&, const extents&) = default;

 private:
  std::array<std::uint64_t, rank_max> sizes_{};
  std::size_t rank_ = 0;
};

/// A tensor whose element type is known at run time only; what a dynamic value holds. A value.
class BERTH_API any_tensor {
 public:
  /// An empty tensor: f32, extents {0}, no memory.
  any_tensor();
  /// Zeroed, in private memory. Throws `invalid` when the size does not fit 64 bits.
  any_tensor(dtype type, const extents& sizes);

  /// A tensor over `owner`'s bytes from `offset` on. Errors: `invalid` when they do not hold it, or misalign it.
  [[nodiscard]] static result<any_tensor> over(dtype type,
                                               const extents& sizes,
                                               std::shared_ptr<memory> owner,
                                               std::uint64_t offset = 0);

  [[nodiscard]] dtype type() const noexcept { return type_; }

  [[nodiscard]] const extents& sizes() const noexcept { return sizes_; }

  /// Number of elements.
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }

  /// All elements as they lie in memory.
  [[nodiscard]] std::span<const std::byte> raw() const noexcept {
    return {data_, count_ * size_of(type_)};
  }

  /// The bytes for writing: copies private bytes that somebody shares. Throws `invalid` (code `frozen`) for a tensor
  /// in shared memory that was sent or received.
  [[nodiscard]] std::span<std::byte> edit();

  /// Who owns the bytes; null for an empty tensor.
  [[nodiscard]] const std::shared_ptr<memory>& owner() const noexcept { return owner_; }

  /// Same type, extents and bytes.
  friend BERTH_API bool operator==(const any_tensor& a, const any_tensor& b) noexcept;

 private:
  dtype type_ = dtype::f32;
  extents sizes_;
  std::uint64_t count_ = 0;
  std::byte* data_ = nullptr;
  std::shared_ptr<memory> owner_;
};

/// A tensor of `T`. Shape `{2, 3}` lies row by row. A value that shares its bytes until written.
template <tensor_element T>
class tensor {
 public:
  using value_type = T;

  tensor() : any_(detail::dtype_for<T>(), extents{0}) {}

  /// Zeroed, in private memory.
  explicit tensor(const extents& sizes) : any_(detail::dtype_for<T>(), sizes) {}

  /// Holds a copy of `elements`. Throws `invalid` when their number is not what `sizes` says.
  tensor(const extents& sizes, std::span<const T> elements) : tensor(sizes) {
    if (elements.size() != size())
      throw error(fail(kind::invalid, "bad_tensor",
                       "a tensor of " + std::to_string(size()) + " elements was given "
                           + std::to_string(elements.size())));
    auto to = edit();
    for (std::size_t i = 0; i < elements.size(); ++i)
      to[i] = elements[i];
  }

  /// The typed face of `any`. Errors: `invalid` when it holds another type.
  [[nodiscard]] static result<tensor> from(any_tensor any) {
    if (any.type() != detail::dtype_for<T>())
      return fail(kind::invalid, "bad_tensor",
                  "expected a tensor of " + std::string(to_string(detail::dtype_for<T>()))
                      + ", got one of " + std::string(to_string(any.type())));
    return tensor(std::move(any));
  }

  [[nodiscard]] const extents& sizes() const noexcept { return any_.sizes(); }

  [[nodiscard]] std::size_t size() const noexcept { return any_.count(); }

  [[nodiscard]] std::span<const T> data() const noexcept {
    return {reinterpret_cast<const T*>(any_.raw().data()), size()};
  }

  [[nodiscard]] const T& operator[](std::size_t i) const noexcept { return data()[i]; }

  [[nodiscard]] auto begin() const noexcept { return data().begin(); }

  [[nodiscard]] auto end() const noexcept { return data().end(); }

  /// All elements for writing; see `any_tensor::edit`. Take it once per loop: each call checks who shares the bytes.
  [[nodiscard]] std::span<T> edit() { return {reinterpret_cast<T*>(any_.edit().data()), size()}; }

  [[nodiscard]] const any_tensor& any() const noexcept { return any_; }

  friend bool operator==(const tensor& a, const tensor& b) noexcept { return a.any_ == b.any_; }

 private:
  explicit tensor(any_tensor any) : any_(std::move(any)) {}

  any_tensor any_;
};

}  // namespace berth
