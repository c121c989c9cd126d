#include "runtime/base/segment.hpp"

#include <atomic>
#include <utility>

namespace berth::base {
namespace {

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

segment::segment(unique_fd fd, mapping memory, bool writable)
    : fd_(std::move(fd)), memory_(std::move(memory)), id_(next_id()), writable_(writable) {}

result<std::shared_ptr<segment>> segment::create(std::uint64_t bytes) {
  auto file = make_memory_file("berth-segment", whole_pages(bytes == 0 ? 1 : bytes),
                               sealing::size_and_writing);
  if (!file) return std::move(file).error();
  return std::shared_ptr<segment>(new segment(std::move(file->fd), std::move(file->memory), true));
}

result<std::shared_ptr<segment>> segment::adopt(unique_fd fd, std::uint64_t bytes) {
  auto memory = map_memory_file(fd.get(), bytes, sealing::size_and_writing, access::read);
  if (!memory) return std::move(memory).error();
  return std::shared_ptr<segment>(new segment(unique_fd(), *std::move(memory), false));
}

}  // namespace berth::base
