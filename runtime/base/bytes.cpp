#include <berth/bytes.hpp>
#include <cstring>
#include <new>

namespace berth {
namespace {

/// Cache line and vector register alike; what a device copy likes best.
constexpr std::align_val_t heap_align{64};

class heap_owner final : public memory {
 public:
  explicit heap_owner(std::uint64_t size)
      : size_(size), data_(static_cast<std::byte*>(::operator new(size, heap_align))) {
    std::memset(data_, 0, size);
  }

  heap_owner(const heap_owner&) = delete;
  heap_owner& operator=(const heap_owner&) = delete;

  ~heap_owner() override { ::operator delete(data_, heap_align); }

  [[nodiscard]] std::byte* data() const noexcept override { return data_; }

  [[nodiscard]] std::uint64_t size() const noexcept override { return size_; }

 private:
  std::uint64_t size_;
  std::byte* data_;
};

}  // namespace

memory::~memory() = default;

std::shared_ptr<memory> heap_memory(std::uint64_t size) {
  return std::make_shared<heap_owner>(size);
}

}  // namespace berth
