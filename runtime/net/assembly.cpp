#include "runtime/net/assembly.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <new>
#include <utility>

namespace berth::net {

std::shared_ptr<std::byte[]> block_pool::take(std::uint64_t bytes) {
  block one;
  std::uint64_t size = bytes;
  {
    const std::lock_guard lock(mutex_);
    const auto best = idle_.lower_bound(bytes);
    if (best != idle_.end() && best->first / 2 <= bytes) {
      size = best->first;
      one = std::move(best->second);
      idle_bytes_ -= size;
      idle_.erase(best);
    }
  }
  if (!one) one.reset(new (std::nothrow) std::byte[bytes]);
  if (!one) return nullptr;
  std::byte* raw = one.get();
  return {raw, [home = weak_from_this(), size, one = std::move(one)](std::byte*) mutable {
            if (auto pool = home.lock()) pool->give_back(size, std::move(one));
          }};
}

void block_pool::give_back(std::uint64_t size, block one) {
  const std::lock_guard lock(mutex_);
  if (idle_bytes_ + size > idle_bytes_max_) return;
  idle_bytes_ += size;
  idle_.emplace(size, std::move(one));
}

assembly::place assembly::begin(message what) {
  const bool has_deadline = what.header.deadline_us != 0;
  messages_.push_back(
      {std::move(what), has_deadline ? base::steady::now() : base::never, 0, false});
  return std::prev(messages_.end());
}

result<void> assembly::expect(place of,
                              std::uint32_t transfer,
                              std::uint64_t size,
                              std::optional<std::size_t> external) {
  if (size == 0 || size > bounds_.message_bytes)
    return fail(kind::invalid, "transfer_size", "a transfer of a size that is not allowed");
  if (size > bounds_.bytes_in_all - bytes_expected_ || transfers_.size() >= bounds_.transfers)
    return fail(kind::invalid, "transfers_in_all", "more bytes announced than a link may hold");
  if (transfers_.contains(transfer))
    return fail(kind::invalid, "transfer_twice", "a transfer was announced twice");
  incoming one{of, nullptr, size, 0, nullptr};
  if (external) {
    one.block = pool_->take(size);
    if (!one.block) return fail(kind::overloaded, "out_of_memory", "no memory for a payload");
    one.to = one.block.get();
    auto& payload = of->what.externals[*external];
    payload.bytes = {one.to, size};
    payload.owner = one.block;
  } else {
    try {
      one.to = of->what.body.reset(size);
    } catch (const std::bad_alloc&) {
      return fail(kind::overloaded, "out_of_memory", "no memory for a body");
    }
  }
  bytes_expected_ += size;
  ++of->waits_for;
  transfers_.emplace(transfer, std::move(one));
  return {};
}

result<std::byte*> assembly::next(std::uint32_t transfer,
                                  std::uint64_t offset,
                                  std::uint64_t size) {
  const auto found = transfers_.find(transfer);
  if (found == transfers_.end())
    return fail(kind::invalid, "transfer_unknown", "a chunk of a transfer that was not announced");
  auto& one = found->second;
  if (offset != one.got || size > one.size - one.got || size == 0)
    return fail(kind::invalid, "chunk_place", "a chunk that does not continue its transfer");
  return one.to + one.got;
}

std::optional<message> assembly::arrived(std::uint32_t transfer, std::uint64_t size) {
  const auto found = transfers_.find(transfer);
  auto& one = found->second;
  one.got += size;
  if (one.got < one.size) return std::nullopt;
  bytes_expected_ -= one.size;
  const auto of = one.of;
  transfers_.erase(found);
  if (--of->waits_for != 0) return std::nullopt;
  if (!of->unwanted) return finish(of);
  messages_.erase(of);
  return std::nullopt;
}

bool assembly::drop(std::uint64_t call) noexcept {
  const auto found = std::find_if(messages_.begin(), messages_.end(), [&](const auto& one) {
    return one.what.header.kind == frame_kind::call && one.what.header.call == call;
  });
  if (found == messages_.end()) return false;
  found->unwanted = true;
  return true;
}

message assembly::finish(place of) {
  auto whole = std::move(of->what);
  auto& left_us = whole.header.deadline_us;
  if (left_us != 0) {
    const auto spent =
        std::chrono::duration_cast<std::chrono::microseconds>(base::steady::now() - of->since);
    left_us = static_cast<std::uint32_t>(
        std::max<std::int64_t>(deadline_passed_us, std::int64_t{left_us} - spent.count()));
  }
  messages_.erase(of);
  return whole;
}

}  // namespace berth::net
