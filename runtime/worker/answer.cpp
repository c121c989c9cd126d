#include "runtime/worker/answer.hpp"

#include "runtime/net/call_messages.hpp"
#include "runtime/value/lane_memory.hpp"
#include "runtime/value/message.hpp"

#include <berth/value.hpp>
#include <cstring>
#include <string>

namespace berth::worker {
namespace {

// A line that user code prints while its result is being written (a conversion that prints) must not ask for room on
// the link whose room this thread holds.
thread_local bool holds_room = false;

std::string string_of(const berth_text& text) {
  return {text.data, text.size};
}

external external_of(const berth_external& from) {
  const auto* owner = static_cast<const std::shared_ptr<memory>*>(from.owner);
  return {static_cast<const std::byte*>(from.data), from.size, owner != nullptr ? *owner : nullptr};
}

std::vector<base::external> for_lane(const std::vector<external>& payloads) {
  std::vector<base::external> sent;
  sent.reserve(payloads.size());
  for (const auto& one : payloads)
    sent.push_back(detail::to_lane(one.data, one.bytes, one.owner));
  return sent;
}

std::vector<external> externals_of(const berth_external* from, std::uint32_t count) {
  std::vector<external> payloads;
  payloads.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i)
    payloads.push_back(external_of(from[i]));
  return payloads;
}

}  // namespace

error_info error_from(const berth_failure& why) {
  error_info info = fail(static_cast<kind>(why.kind), string_of(why.code), string_of(why.message));
  info.retry_after_ms = why.retry_after_ms;
  info.detail = string_of(why.detail);
  info.detail_type = string_of(why.detail_type);
  std::string_view rest(why.trail.data, why.trail.size);
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    info.trail.emplace_back(rest.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  return info;
}

berth_sink answer::sink(net::frame_kind as) noexcept {
  kind_ = as;
  return {this, &answer::reserve, &answer::attach, &answer::take_failure};
}

void* answer::reserve(void* self, std::uint64_t size, std::uint32_t externals) {
  auto& here = *static_cast<answer*>(self);
  const bool straight = externals == 0 && here.with_.as == binding::form::same;
  return straight ? here.room_for(size) : here.room_aside(size);
}

int answer::attach(void* self, const berth_external* externals, std::uint32_t count) {
  return static_cast<answer*>(self)->take_externals(externals, count);
}

void* answer::room_for(std::uint64_t size) {
  room_ = to_.begin(kind_, call_, size, {}, 0, version_);
  if (!room_) {
    lost_ = true;
    return nullptr;
  }
  holds_room = true;
  return room_.body();
}

void* answer::room_aside(std::uint64_t size) {
  aside_used_ = true;
  aside_.assign(size / 8 + 1, 0);
  aside_bytes_ = size;
  aside_externals_.clear();
  return aside_.data();
}

int answer::take_externals(const berth_external* externals, std::uint32_t count) {
  aside_externals_ = externals_of(externals, count);
  if (with_.as
      == binding::form::same) {  // borrowed payloads end with the thunk: the link takes them now
    aside_used_ = false;
    room_ = to_.begin(kind_, call_, aside_bytes_, for_lane(aside_externals_), 0, version_);
    lost_ = !room_;
    if (lost_) return 0;
    std::memcpy(room_.body(), aside_.data(), aside_bytes_);
    return 1;
  }
  for (auto& one : aside_externals_) {
    if (one.owner) continue;
    one.owner = heap_memory(one.bytes);
    std::memcpy(one.owner->data(), one.data, one.bytes);
    one.data = one.owner->data();
  }
  return 1;
}

void answer::take_failure(void* self, const berth_failure* why) {
  auto& here = *static_cast<answer*>(self);
  here.refuse(error_from(*why));
}

void answer::send() {
  holds_room = false;
  if (lost_) return;
  if (!why_) send_value();
  if (why_) send_failure();
}

void answer::send_value() {
  if (room_) {
    room_.commit(publish_);
  } else if (ended_ || (!aside_used_ && with_.as != binding::form::self_describing)) {
    auto room = to_.begin(net::frame_kind::result, call_, 0, {}, 0, version_);
    if (room) room.commit(publish_);
  } else {
    send_transcoded();
  }
}

void answer::send_failure() {
  room_ = {};
  const auto body = net::encode_failure(*why_);
  auto room = to_.begin(net::frame_kind::failure, call_, body.size(), {}, 0, version_);
  if (!room) return;
  std::memcpy(room.body(), body.data(), body.size());
  room.commit();
}

void answer::send_transcoded() {
  const block_view view{{reinterpret_cast<const std::byte*>(aside_.data()), aside_bytes_},
                        aside_externals_};
  aside_used_ = false;
  const auto& made = with_.what->shown().result;
  if (with_.as == binding::form::evolved) {
    const auto block = transcode_result(made, with_.caller.result, view);
    return block ? send_block(*block, 0) : refuse(block.error());
  }
  const auto said = decode_hot(made, view);
  if (!said) return refuse(said.error());
  auto body = value_to_message(*said);
  if (!body) return refuse(std::move(body).error());
  send_block({*std::move(body), {}}, net::flag_self_describing);
}

void answer::send_block(const hot_block& block, std::uint8_t flags) {
  auto room =
      to_.begin(kind_, call_, block.block.size(), for_lane(block.externals), flags, version_);
  if (!room) return;
  std::memcpy(room.body(), block.block.data(), block.block.size());
  room.commit();
}

void answer::progress(double fraction, std::string_view message) noexcept {
  report({net::report::what::progress, fraction, message});
}

void answer::metric(std::string_view name, double value) noexcept {
  report({net::report::what::metric, value, name});
}

void answer::report(const net::report& what) noexcept {
  if (holds_room) return;
  auto room = to_.begin(net::frame_kind::progress, call_, net::report_bytes(what.text));
  if (!room) return;
  net::write_report(room.body(), what);
  room.commit();
}

void send_line(net::served_link& to,
               std::uint64_t call,
               std::string_view text,
               output stream) noexcept {
  if (holds_room) return;
  const std::uint8_t flags = stream == output::err ? net::flag_error_stream : 0;
  auto room = to.begin(net::frame_kind::log, call, text.size(), {}, flags);
  if (!room) return;
  std::memcpy(room.body(), text.data(), text.size());
  room.commit();
}

}  // namespace berth::worker
