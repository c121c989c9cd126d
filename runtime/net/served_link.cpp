#include "runtime/net/server_state.hpp"

#include <utility>

namespace berth::net {

served_link::served_link(std::unique_ptr<state> self) : self_(std::move(self)) {}

served_link::~served_link() = default;

reservation served_link::begin(frame_kind kind,
                               std::uint64_t call,
                               std::size_t body,
                               std::span<const base::external> externals,
                               std::uint8_t flags,
                               std::uint64_t revision) {
  frame_header header;
  header.kind = kind;
  header.call = call;
  header.flags = flags;
  header.revision = revision;
  const bool may_be_lost = kind == frame_kind::log || kind == frame_kind::progress;
  return self_->through->open(header, body, externals,
                              may_be_lost ? channel::when_full::lose : channel::when_full::queue);
}

void served_link::grant(std::uint64_t call, std::uint32_t n) noexcept {
  frame_header header;
  header.kind = frame_kind::credit;
  header.call = call;
  header.binding = n;
  self_->through->send(header);
}

// The polling thread finds the end: the lane's bell wakes it.
void served_link::close(const error_info& why) noexcept {
  if (!closed()) self_->through->end(why, channel::tell::reason);
}

bool served_link::closed() const noexcept {
  return self_->through->ended();
}

std::uint64_t served_link::id() const noexcept {
  return self_->id;
}

const peer_facts& served_link::peer() const noexcept {
  return self_->peer;
}

link_statistics served_link::statistics() const {
  return self_->through->statistics();
}

}  // namespace berth::net
