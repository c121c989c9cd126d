#include "runtime/net/message.hpp"

#include <new>

namespace berth::net {

std::byte* body_bytes::reset(std::size_t size) {
  if (size > (heap_ != nullptr ? room_ : inline_bytes)) {
    clear();
    heap_ = static_cast<std::byte*>(::operator new(size));
    room_ = size;
  }
  size_ = size;
  return data();
}

void body_bytes::clear() noexcept {
  ::operator delete(heap_);
  heap_ = nullptr;
  room_ = 0;
  size_ = 0;
}

}  // namespace berth::net
