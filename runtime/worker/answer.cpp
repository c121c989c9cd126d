#include "runtime/worker/answer.hpp"

#include <berth/value.hpp>
#include <cstring>
#include <string>

#include "runtime/net/call_messages.hpp"

namespace berth::worker {
namespace {

// A line that user code prints while its result is being written (a conversion that prints) must not ask for room on
// the link whose room this thread holds.
thread_local bool holds_room = false;

std::string string_of(const berth_text& text) { return {text.data, text.size}; }

std::vector<base::external> externals_of(const berth_payload* payloads, std::uint32_t count) {
  std::vector<base::external> externals;
  externals.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i)
    externals.push_back({{static_cast<const std::byte*>(payloads[i].data), payloads[i].size}, {}, {}});
  return externals;
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
  return {this, &answer::reserve, &answer::take_failure};
}

void* answer::reserve(void* self, std::uint64_t size, berth_payload* payloads, std::uint32_t count) {
  auto& here = *static_cast<answer*>(self);
  return here.with_.as == binding::form::same ? here.room_for(size, payloads, count)
                                              : here.room_aside(size, payloads, count);
}

void* answer::room_for(std::uint64_t size, berth_payload* payloads, std::uint32_t count) {
  static std::byte nothing[8];
  const auto externals = externals_of(payloads, count);
  room_.~reservation();
  new (&room_) net::reservation(to_.begin(kind_, call_, size, externals, 0, version_));
  if (!room_) {
    lost_ = true;
    return nullptr;
  }
  holds_room = true;
  return size == 0 ? nothing : room_.body();
}

void* answer::room_aside(std::uint64_t size, berth_payload* payloads, std::uint32_t count) {
  aside_.assign(size / 8 + 1, 0);
  aside_bytes_ = size;
  aside_payloads_.assign(count, {});
  for (std::uint32_t i = 0; i < count; ++i) {
    aside_payloads_[i].resize(payloads[i].size);
    std::memcpy(aside_payloads_[i].data(), payloads[i].data, payloads[i].size);
  }
  return aside_.data();
}

void answer::take_failure(void* self, const berth_failure* why) {
  auto& here = *static_cast<answer*>(self);
  here.refuse(error_from(*why));
}

void answer::send(std::uint8_t flags) {
  holds_room = false;
  if (!failed_ && with_.as != binding::form::same && !lost_) send_transcoded();
  if (failed_) {
    room_.~reservation();
    new (&room_) net::reservation();
    const auto body = net::encode_failure(why_);
    auto room = to_.begin(net::frame_kind::failure, call_, body.size(), {}, flags, version_);
    if (!room) return;
    std::memcpy(room.body(), body.data(), body.size());
    room.commit();
  } else if (room_) {
    room_.commit();
  }
}

void answer::send_transcoded() {
  std::vector<external> externals;
  externals.reserve(aside_payloads_.size());
  for (const auto& payload : aside_payloads_)
    externals.push_back({payload.data(), payload.size(), {}});
  const block_view view{{reinterpret_cast<const std::byte*>(aside_.data()), aside_bytes_}, externals};
  const auto block = transcode_result(with_.what->signature.result, with_.caller.result, view);
  if (!block) return refuse(block.error());
  std::vector<base::external> sent;
  for (const auto& one : block->externals)
    sent.push_back({{one.data, one.bytes}, {}, {}});
  auto room = to_.begin(kind_, call_, block->block.size(), sent, 0, version_);
  if (!room) return;
  std::memcpy(room.body(), block->block.data(), block->block.size());
  room.commit();
}

void answer::send_end() {
  auto room = to_.begin(net::frame_kind::result, call_, 0, {}, 0, version_);
  if (room) room.commit();
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

void answer::line(std::string_view text, bool stderr_line) noexcept {
  if (holds_room) return;
  const std::uint8_t flags = stderr_line ? net::flag_error_stream : 0;
  auto room = to_.begin(net::frame_kind::log, call_, text.size(), {}, flags);
  if (!room) return;
  std::memcpy(room.body(), text.data(), text.size());
  room.commit();
}

}  // namespace berth::worker
