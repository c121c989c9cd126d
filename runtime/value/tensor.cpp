#include <algorithm>
#include <berth/tensor.hpp>
#include <cstring>
#include <limits>

namespace berth {
namespace {

struct dtype_row {
  dtype type;
  std::string_view name;
  std::size_t bytes;
};

constexpr std::array dtypes{
    dtype_row{dtype::b8, "bool", 1}, dtype_row{dtype::i8, "i8", 1},
    dtype_row{dtype::i16, "i16", 2}, dtype_row{dtype::i32, "i32", 4},
    dtype_row{dtype::i64, "i64", 8}, dtype_row{dtype::u8, "u8", 1},
    dtype_row{dtype::u16, "u16", 2}, dtype_row{dtype::u32, "u32", 4},
    dtype_row{dtype::u64, "u64", 8}, dtype_row{dtype::f32, "f32", 4},
    dtype_row{dtype::f64, "f64", 8},
};

/// Elements times bytes of one, when that fits a size.
std::optional<std::uint64_t> bytes_in(dtype type, const extents& sizes) {
  const auto count = sizes.count();
  const std::size_t one = size_of(type);
  if (!count || one == 0 || *count > std::numeric_limits<std::int64_t>::max() / one)
    return std::nullopt;
  return *count * one;
}

error_info bad_tensor(std::string why) {
  return fail(kind::invalid, "bad_tensor", std::move(why));
}

}  // namespace

std::string_view to_string(dtype d) noexcept {
  for (const auto& row : dtypes)
    if (row.type == d) return row.name;
  return {};
}

std::optional<dtype> dtype_from(std::string_view name) noexcept {
  for (const auto& row : dtypes)
    if (row.name == name) return row.type;
  return std::nullopt;
}

std::size_t size_of(dtype d) noexcept {
  for (const auto& row : dtypes)
    if (row.type == d) return row.bytes;
  return 0;
}

extents::extents(std::initializer_list<std::uint64_t> sizes)
    : extents(std::span(sizes.begin(), sizes.size())) {}

extents::extents(std::span<const std::uint64_t> sizes) : rank_(sizes.size()) {
  if (rank_ > rank_max)
    throw error(bad_tensor("a tensor has at most " + std::to_string(rank_max) + " dimensions, not "
                           + std::to_string(rank_)));
  std::copy(sizes.begin(), sizes.end(), sizes_.begin());
}

std::optional<std::uint64_t> extents::count() const noexcept {
  std::uint64_t all = 1;
  for (const auto one : sizes()) {
    if (one != 0 && all > std::numeric_limits<std::uint64_t>::max() / one) return std::nullopt;
    all *= one;
  }
  return all;
}

any_tensor::any_tensor() : sizes_{0} {}

any_tensor::any_tensor(dtype type, const extents& sizes) : type_(type), sizes_(sizes) {
  const auto size = bytes_in(type, sizes);
  if (!size) throw error(bad_tensor("a tensor of that size does not fit this machine"));
  count_ = *sizes.count();
  if (count_ == 0) return;
  owner_ = heap_memory(*size);
  data_ = owner_->data();
}

result<any_tensor> any_tensor::over(dtype type,
                                    const extents& sizes,
                                    std::shared_ptr<memory> owner,
                                    std::uint64_t offset) {
  const auto size = bytes_in(type, sizes);
  if (!size || !owner || offset > owner->size() || *size > owner->size() - offset)
    return bad_tensor("the memory is smaller than the tensor");
  if (reinterpret_cast<std::uintptr_t>(owner->data() + offset) % size_of(type) != 0)
    return bad_tensor("the memory is not aligned for " + std::string(to_string(type)));
  any_tensor made;
  made.type_ = type;
  made.sizes_ = sizes;
  made.count_ = *sizes.count();
  made.data_ = owner->data() + offset;
  made.owner_ = std::move(owner);
  return made;
}

std::span<std::byte> any_tensor::edit() {
  const std::uint64_t size = count_ * size_of(type_);
  if (size == 0) return {};
  const bool shared_memory = owner_->segment() >= 0 || owner_->frozen();
  if (shared_memory && owner_->frozen())
    throw error(fail(
        kind::invalid, "frozen",
        "this tensor lies in shared memory and was sent or received: make a new one to write"));
  if (!shared_memory && owner_.use_count() > 1) {
    auto own = heap_memory(size);
    std::memcpy(own->data(), data_, size);
    owner_ = std::move(own);
    data_ = owner_->data();
  }
  return {data_, size};
}

bool operator==(const any_tensor& a, const any_tensor& b) noexcept {
  return a.type_ == b.type_ && a.sizes_ == b.sizes_
         && (a.data_ == b.data_ || a.count_ == 0
             || std::memcmp(a.data_, b.data_, a.count_ * size_of(a.type_)) == 0);
}

}  // namespace berth
