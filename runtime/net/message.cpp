#include "runtime/net/message.hpp"

#include <new>

namespace berth::net {

void body_bytes::grow(std::size_t size) {
  clear();
  heap_ = static_cast<std::byte*>(::operator new(size));
  room_ = size;
}

void body_bytes::free_heap() noexcept {
  ::operator delete(heap_);
  heap_ = nullptr;
  room_ = 0;
}

}  // namespace berth::net
