// The receiving half of the channel, sleeping, and the end.

#include "runtime/net/channel.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <poll.h>
#include <string>
#include <string_view>
#include <utility>

namespace berth::net {
namespace {

constexpr int own_frames_max = 64;  // handled in one look before the caller gets a turn
constexpr std::chrono::seconds seat_belt{1};
constexpr std::size_t bye_bytes_max = 512;

bool is_own(frame_kind what) {
  switch (what) {
    case frame_kind::segment:
    case frame_kind::release:
    case frame_kind::drop:
    case frame_kind::ping:
    case frame_kind::pong:
    case frame_kind::bye:
      return true;
    default:
      return false;
  }
}

error_info violation(std::string what) {
  return fail(kind::disconnected, "broken_link", "the peer broke the protocol: " + std::move(what));
}

timespec timespec_of(std::chrono::nanoseconds left) {
  left = std::max(left, std::chrono::nanoseconds(0));
  return {static_cast<time_t>(left.count() / 1'000'000'000),
          static_cast<long>(left.count() % 1'000'000'000)};
}

}  // namespace

/// One borrowed payload; its end gives the loan back, if the link still stands.
struct channel::loan {
  std::weak_ptr<channel> home;
  std::shared_ptr<base::segment> mapped;
  std::uint32_t id;

  loan(std::weak_ptr<channel> of, std::shared_ptr<base::segment> what, std::uint32_t which)
      : home(std::move(of)), mapped(std::move(what)), id(which) {}

  loan(const loan&) = delete;
  loan& operator=(const loan&) = delete;

  ~loan() {
    const auto link = home.lock();
    if (!link) return;
    frame_header back;
    back.kind = frame_kind::release;
    back.call = id;
    link->send(back);
  }
};

look channel::take(arrival& what) {
  what.raw = nullptr;
  for (int turn = 0; turn < own_frames_max; ++turn) {
    if (bulk_.size != bulk_.got) [[unlikely]] {
      const auto found = pull_bulk(what);
      if (found != look::bulk) return found;
      continue;
    }
    const std::byte* body = nullptr;
    switch (ring_ != nullptr ? ring_->peek(what.header, body) : lane_->peek(what.header, body)) {
      case look::nothing:
        return on_nothing();
      case look::broken:
        return broken(lane_->why());
      case look::bulk: {
        const auto into =
            assembly_.next(what.header.binding, what.header.revision, what.header.size);
        if (!into) return broken(violation(into.error().message));
        bulk_ = {what.header.binding, *into, what.header.size, 0};
        continue;
      }
      case look::frame:
        break;
    }
    frames_in_.add(1);
    bytes_in_.add(frame_bytes(what.header.size));
    const bool plain = what.header.kind >= frame_kind::call
                       && what.header.kind <= frame_kind::progress
                       && (what.header.flags & flag_transfer) == 0 && what.header.externals == 0;
    if (plain) [[likely]] {
      what.raw = body;
      return look::frame;
    }
    const auto found = take_slowly(what, body);
    if (found != look::nothing) return found;
  }
  return look::nothing;
}

look channel::take_slowly(arrival& what, const std::byte* body) {
  const auto sort = what.header.kind;
  if (static_cast<std::uint8_t>(sort) > frame_kind_max || sort == frame_kind::pad)
    return broken(violation("a frame of an unknown kind"));
  if (sort == frame_kind::chunk) return on_chunk(what, body);
  if (is_own(sort)) {
    on_own_frame(what.header, body);
    if (ended()) return look::broken;
    pop();
    return look::nothing;
  }
  if ((what.header.flags & flag_transfer) != 0 || what.header.externals != 0)
    return on_compound(what, body);
  what.raw = body;  // request, reply
  return look::frame;
}

look channel::on_nothing() {
  if (!hung_up_) return look::nothing;
  // End of file was seen; frames published before it have all been read.
  if (lane_->ready()) return look::nothing;
  auto reason = said_bye_ ? *said_bye_
                          : fail(kind::disconnected, "peer_gone", "the peer has closed the link");
  return broken(std::move(reason));
}

look channel::pull_bulk(arrival& what) {
  const auto got = lane_->read_bulk(bulk_.to + bulk_.got, bulk_.size - bulk_.got);
  if (got == 0) return lane_->hung_up() ? broken(lane_->why()) : look::nothing;
  bulk_.got += got;
  if (bulk_.got != bulk_.size) return look::bulk;
  frames_in_.add(1);
  bytes_in_.add(bulk_.size);
  what.whole = assembly_.arrived(bulk_.transfer, bulk_.size);
  bulk_ = {};
  if (!what.whole) return look::bulk;
  what.header = what.whole->header;
  return look::frame;
}

look channel::on_chunk(arrival& what, const std::byte* body) {
  const auto size = what.header.size;
  const auto transfer = what.header.binding;
  const auto into = assembly_.next(transfer, what.header.revision, size);
  if (!into) return broken(violation(into.error().message));
  std::memcpy(*into, body, size);
  pop();
  what.whole = assembly_.arrived(transfer, size);
  if (!what.whole) return look::nothing;
  what.header = what.whole->header;
  return look::frame;
}

// A frame with a table of external payloads, or one whose body comes in chunks.
look channel::on_compound(arrival& what, const std::byte* body) {
  const auto& header = what.header;
  const std::size_t table = header.externals * sizeof(external_place);
  const bool in_chunks = (header.flags & flag_transfer) != 0;
  if (header.externals > externals_max || table > header.size
      || (in_chunks && header.size - table != sizeof(transfer_head)))
    return broken(violation("a frame shorter than its table of payloads"));
  message whole;
  whole.header = header;
  whole.header.flags &= static_cast<std::uint8_t>(~flag_transfer);
  std::memcpy(whole.body.reset(header.size), body, header.size);
  pop();
  std::vector<external_place> places(header.externals);
  const std::size_t block = header.size - table;
  if (table != 0) std::memcpy(places.data(), whole.body.data() + block, table);
  whole.externals.resize(places.size());
  transfer_head large;
  if (in_chunks) std::memcpy(&large, whole.body.data(), sizeof large);
  whole.body.shrink(block);

  const auto place = assembly_.begin(std::move(whole));
  if (in_chunks) {
    const auto ok = assembly_.expect(place, large.transfer, large.size, std::nullopt);
    if (!ok) return broken(violation(ok.error().message));
  }
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto ok = resolve(place, i, places[i]);
    if (!ok) return broken(violation(ok.error().message));
  }
  if (place->waits_for != 0) return look::nothing;
  what.whole = assembly_.finish(place);
  what.header = what.whole->header;
  return look::frame;
}

result<void> channel::resolve(assembly::place where,
                              std::size_t index,
                              const external_place& place) {
  if (place.how == external_place::way::transfer)
    return assembly_.expect(where, place.id, place.size, index);
  if (place.how != external_place::way::segment)
    return fail(kind::invalid, "payload_way", "a payload that comes in an unknown way");
  auto mapped = borrowed_.find(place.id);
  if (!mapped) {
    read_asides();  // announced before this frame was published, beside the ring
    mapped = borrowed_.find(place.id);
  }
  if (!mapped) return fail(kind::invalid, "segment_unknown", "a payload in an unknown segment");
  if (place.size == 0 || place.offset > mapped->size()
      || place.size > mapped->size() - place.offset)
    return fail(kind::invalid, "segment_range", "a payload beyond the end of its segment");
  auto& payload = where->what.externals[index];
  payload.bytes = {mapped->data() + place.offset, place.size};
  payload.owner = std::make_shared<loan>(weak_from_this(), std::move(mapped), place.id);
  return {};
}

void channel::on_own_frame(const frame_header& header, const std::byte* body) {
  switch (header.kind) {
    case frame_kind::segment: {
      const auto ok = borrowed_.announced(header, lane_->take_descriptor());
      if (!ok) broken(violation(ok.error().message));
      segments_in_.add(1);
      borrowed_bytes_.store(borrowed_.bytes(), std::memory_order_relaxed);
      return;
    }
    case frame_kind::release: {
      lock_.lock();
      const bool known = lent_.give_back(static_cast<std::uint32_t>(header.call));
      send_drops_locked();
      unlock_and_let_go();
      if (!known) broken(violation("a segment given back that was not lent"));
      return;
    }
    case frame_kind::drop:
      borrowed_.drop(static_cast<std::uint32_t>(header.call));
      borrowed_bytes_.store(borrowed_.bytes(), std::memory_order_relaxed);
      return;
    case frame_kind::ping: {
      frame_header answer;
      answer.kind = frame_kind::pong;
      answer.call = header.call;
      return send(answer);
    }
    case frame_kind::bye:
      return on_bye(header, body);
    default:
      return;
  }
}

// A bye carries its reason as text: the error's code, a line feed, its message.
void channel::on_bye(const frame_header& header, const std::byte* body) {
  std::string text(std::min<std::size_t>(header.size, bye_bytes_max), '\0');
  std::memcpy(text.data(), body, text.size());
  const auto end = text.find('\n');
  const auto code = end == std::string::npos ? std::string("peer_gone") : text.substr(0, end);
  const auto why = end == std::string::npos ? text : text.substr(end + 1);
  said_bye_ = fail(kind::disconnected, code, "the peer has closed the link: " + why);
}

message channel::keep(arrival& what) {
  if (what.whole) {
    message whole = std::move(*what.whole);
    what.whole.reset();
    return whole;
  }
  message copy;
  copy.header = what.header;
  std::memcpy(copy.body.reset(what.header.size), what.raw, what.header.size);
  pop();
  what.raw = nullptr;
  return copy;
}

void channel::read_asides() {
  frame_header header;
  for (;;) {
    const auto found = lane_->peek_aside(header);
    if (found == look::broken) {
      broken(lane_->why());
      return;
    }
    if (found != look::frame) break;
    if (header.kind != frame_kind::segment) {
      broken(violation("something that is no announcement beside the ring"));
      return;
    }
    on_own_frame(header, nullptr);
    if (ended()) return;
  }
}

void channel::after_sleep(bool bell, bool socket) {
  if (bell) lane_->quiet_bell();
  if (!socket) return;
  read_asides();
  hung_up_ = hung_up_ || lane_->hung_up();
}

void channel::sleep(base::time_point deadline) {
  const auto now = base::steady::now();
  const auto until = std::min(deadline, now + seat_belt);
  const timespec limit = timespec_of(until - now);
  const short events = waits_for_writable() ? POLLIN | POLLOUT : POLLIN;
  std::array<pollfd, 2> on{pollfd{lane_->bell(), POLLIN, 0}, pollfd{lane_->socket(), events, 0}};
  count_sleep();
  const int awake = ::ppoll(on.data(), on.size(), &limit, nullptr);
  if (awake == 0 && deadline > until && lane_->ready()) count_rescue();
  if (awake > 0) after_sleep(on[0].revents != 0, (on[1].revents & ~POLLOUT) != 0);
}

look channel::broken(error_info why) {
  end(std::move(why));
  return look::broken;
}

void channel::end(error_info why, tell peer) noexcept {
  if (peer == tell::reason && !ended()) {
    const auto text = why.code + "\n" + why.message;
    frame_header bye;
    bye.kind = frame_kind::bye;
    send(bye, std::as_bytes(std::span(text.data(), std::min(text.size(), bye_bytes_max))));
  }
  {
    const std::lock_guard lock(why_mutex_);
    if (!why_) why_ = std::move(why);
  }
  // Once only: hanging up stirs whoever watches the socket, who looks and finds the end again.
  if (ended_.exchange(true, std::memory_order_seq_cst)) return;
  lane_->hang_up();
  lane_->ring_own_bell();
}

error_info channel::why() const {
  const std::lock_guard lock(why_mutex_);
  return why_ ? *why_ : fail(kind::failed, "open", "the link is open");
}

link_statistics channel::statistics() const {
  link_statistics all;
  all.frames_out = frames_out_.get();
  all.frames_in = frames_in_.get();
  all.bytes_out = bytes_out_.get();
  all.bytes_in = bytes_in_.get();
  all.bells = lane_->bells_rung();
  all.sleeps = sleeps_.load(std::memory_order_relaxed);
  all.rescues = rescues_.load(std::memory_order_relaxed);
  all.overloads = overloads_.load(std::memory_order_relaxed);
  all.transfers = transfers_.get();
  all.segments_out = segments_out_.get();
  all.segments_in = segments_in_.get();
  all.segment_bytes_in = borrowed_bytes_.load(std::memory_order_relaxed);
  return all;
}

}  // namespace berth::net
