#include "runtime/net/outbox.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace berth::net {

frame_header queued_frame::header() const noexcept {
  frame_header head;
  std::memcpy(&head, bytes.get(), sizeof head);
  return head;
}

// A cancel may not wait for the very transfer it wants to end.
static bool keeps_order(frame_kind what) {
  return what == frame_kind::call || what == frame_kind::request || what == frame_kind::item
         || what == frame_kind::end || what == frame_kind::result || what == frame_kind::failure
         || what == frame_kind::moved || what == frame_kind::reply;
}

void outbox::add(queued_frame frame) {
  frame_bytes_ += frame.size;
  const auto head = frame.header();
  const auto found = busy_calls_.find(head.call);
  if (found != busy_calls_.end() && keeps_order(head.kind))
    found->second.waiting.push_back(std::move(frame));
  else
    frames_.push_back(std::move(frame));
}

bool outbox::pump(lane& to) noexcept {
  const bool frames = pump_frames(to);
  const bool bulk = frames_.empty() && pump_transfers(to);
  return frames || bulk;
}

bool outbox::pump_frames(lane& to) noexcept {
  bool moved = false;
  while (!frames_.empty()) {
    auto& first = frames_.front();
    const auto head = first.header();
    const auto found = busy_calls_.find(head.call);
    if (found != busy_calls_.end() && keeps_order(head.kind)) {
      // Queued before its call's transfer began, behind that transfer's own frame.
      found->second.waiting.push_back(std::move(first));
      frames_.pop_front();
      continue;
    }
    std::byte* at = to.room(first.size);
    if (at == nullptr) break;
    std::memcpy(at, first.bytes.get(), first.size);
    to.commit(first.size);
    frame_bytes_ -= first.size;
    auto sent = std::move(first);
    frames_.pop_front();
    start_transfers(sent);
    moved = true;
  }
  return moved;
}

void outbox::start_transfers(queued_frame& frame) {
  if (frame.transfers.empty()) return;
  const auto call = frame.header().call;
  busy_calls_[call].transfers += frame.transfers.size();
  for (auto& one : frame.transfers)
    moving_.push_back({std::move(one), call, 0});
}

bool outbox::pump_transfers(lane& to) noexcept {
  bool moved = false;
  const std::size_t chunk_max = (to.frame_max() & ~(frame_align - 1)) - sizeof(frame_header);
  while (!moving_.empty() && frames_.empty() && to.has_room_for_bulk()) {
    auto& first = moving_.front();
    const auto rest = first.what.bytes.subspan(first.sent);
    const auto piece = rest.first(std::min<std::size_t>(rest.size(), chunk_max));
    frame_header head;
    head.kind = frame_kind::chunk;
    head.call = first.call;
    head.binding = first.what.id;
    head.revision = first.sent;
    head.size = static_cast<std::uint32_t>(piece.size());
    if (!to.send_bulk(head, piece)) break;
    moved = true;
    first.sent += piece.size();
    auto turn = std::move(first);
    moving_.pop_front();
    if (turn.sent < turn.what.bytes.size())
      moving_.push_back(std::move(turn));
    else
      finish_transfer(turn);
  }
  return moved;
}

void outbox::finish_transfer(moving& done) {
  owners_.push_back(std::move(done.what.owner));
  const auto found = busy_calls_.find(done.call);
  if (--found->second.transfers != 0) return;
  auto waiting = std::move(found->second.waiting);
  busy_calls_.erase(found);
  for (auto& frame : waiting)
    frames_.push_back(std::move(frame));
}

void outbox::clear() noexcept {
  for (auto& one : moving_)
    owners_.push_back(std::move(one.what.owner));
  for (auto& frame : frames_)
    for (auto& one : frame.transfers)
      owners_.push_back(std::move(one.owner));
  for (auto& [call, busy] : busy_calls_)
    for (auto& frame : busy.waiting)
      for (auto& one : frame.transfers)
        owners_.push_back(std::move(one.owner));
  frames_.clear();
  moving_.clear();
  busy_calls_.clear();
  frame_bytes_ = 0;
}

}  // namespace berth::net
