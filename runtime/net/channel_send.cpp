// The sending half of the channel: reservations, drafts of large messages, publication.

#include "runtime/base/fork.hpp"
#include "runtime/net/channel.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace berth::net {
namespace {

constexpr std::uint32_t batch_frames_max =
    16;  // docs/protocol.md, "Ring lane": batches of 16 to 32 are worth tenfold

queued_frame frame_of(const frame_header& header) {
  queued_frame frame;
  frame.size = frame_bytes(header.size);
  frame.bytes = std::make_unique_for_overwrite<std::byte[]>(frame.size);
  std::memcpy(frame.bytes.get(), &header, sizeof header);
  return frame;
}

}  // namespace

/// A message that does not go straight into the lane: it is built outside the lock and handed over at commit.
struct channel::draft {
  frame_header header;
  std::size_t body = 0;
  queued_frame frame;                  // small body: lies here already
  std::shared_ptr<std::byte[]> large;  // large body: goes as a transfer
  std::vector<external_place> places;
  std::vector<transfer> transfers;
};

void reservation::give_back() noexcept {
  channel* through = std::exchange(channel_, nullptr);
  body_ = nullptr;
  if (draft_ == nullptr) {
    through->lock_.unlock();
  } else {
    const std::unique_ptr<channel::draft> mine(
        static_cast<channel::draft*>(std::exchange(draft_, nullptr)));
    through->give_up_draft(*mine);
  }
  if (undo_ != nullptr) std::exchange(undo_, nullptr)(undo_on_, undo_what_);
}

void reservation::commit(when publish) noexcept {
  channel* through = std::exchange(channel_, nullptr);
  body_ = nullptr;
  undo_ = nullptr;
  if (draft_ == nullptr) return through->commit_direct(publish);
  const std::unique_ptr<channel::draft> mine(
      static_cast<channel::draft*>(std::exchange(draft_, nullptr)));
  through->commit_draft(*mine);
}

void reservation::set_call(std::uint64_t id) noexcept {
  std::byte* header = body_ - sizeof(frame_header);
  if (draft_ != nullptr) {
    auto& mine = *static_cast<channel::draft*>(draft_);
    mine.header.call = id;
    header = mine.frame.bytes.get();
  }
  std::memcpy(header + offsetof(frame_header, call), &id, sizeof id);
}

channel::channel(std::unique_ptr<lane> over, limits bounds)
    : lane_(std::move(over)),
      ring_(dynamic_cast<ring_lane*>(lane_.get())),
      direct_max_(lane_->frame_max() - sizeof(frame_header)),
      bounds_(bounds),
      fork_generation_(base::fork_generation()),
      assembly_({}),
      borrowed_(bounds.segment_bytes_max) {
  base::watch_forks();
}

channel::~channel() {
  lane_->hang_up();
}

reservation channel::open(const frame_header& header,
                          std::size_t body,
                          std::span<const base::external> externals,
                          when_full then) {
  if (ended() || forked()) return {};
  if (externals.empty() && body <= direct_max_) [[likely]]
    return open_direct(header, body, then);
  if (body > message_bytes_max || externals.size() > externals_max) return {};
  return open_draft(header, body, externals, then);
}

reservation channel::open_direct(const frame_header& header, std::size_t body, when_full then) {
  reservation open;
  const std::size_t bytes = frame_bytes(body);
  lock_.lock();
  if (backlog_.load(std::memory_order_relaxed)) [[unlikely]]
    outbox_.pump(*lane_);
  const auto room = [&] { return ring_ != nullptr ? ring_->room(bytes) : lane_->room(bytes); };
  std::byte* at = outbox_.holds_back(header.call) ? nullptr : room();
  if (at == nullptr) [[unlikely]] {
    publish_locked();  // what fills the lane must be seen before it can be emptied
    at = outbox_.holds_back(header.call) ? nullptr : room();
  }
  if (at != nullptr) [[likely]] {
    write_header(at, header, static_cast<std::uint32_t>(body));
    open_bytes_ = bytes;
    open.channel_ = this;
    open.body_ = at + sizeof header;
    return open;
  }
  const bool allowed = queue_allows(then);
  unlock_and_let_go();
  if (!allowed) return open;
  auto later = std::make_unique<draft>();
  later->header = header;
  later->header.size = static_cast<std::uint32_t>(body);
  later->body = body;
  later->frame = frame_of(later->header);
  open.channel_ = this;
  open.body_ = later->frame.bytes.get() + sizeof header;
  open.draft_ = later.release();
  return open;
}

bool channel::queue_allows(when_full then) const noexcept {
  const auto queued = outbox_.frame_bytes_queued();
  switch (then) {
    case when_full::queue:
      return true;
    case when_full::lose:
      return queued < bounds_.queue_bytes_max / 2;
    default:
      return false;
  }
}

reservation channel::open_draft(const frame_header& header,
                                std::size_t body,
                                std::span<const base::external> externals,
                                when_full then) {
  if (then == when_full::refuse) {
    // A large call waits its turn like a small one: not behind a queue that is not moving.
    lock_.lock();
    outbox_.pump(*lane_);
    const bool stuck = outbox_.frame_bytes_queued() != 0;
    unlock_and_let_go();
    if (stuck) return {};
  }
  auto one = std::make_unique<draft>();
  one->header = header;
  one->header.externals = static_cast<std::uint16_t>(externals.size());
  one->body = body;
  one->places.reserve(externals.size());
  for (const auto& external : externals)
    place_external(*one, external);
  const std::size_t table = one->places.size() * sizeof(external_place);
  reservation open;
  if (body + table <= direct_max_) {
    one->header.size = static_cast<std::uint32_t>(body + table);
    one->frame = frame_of(one->header);
    open.body_ = one->frame.bytes.get() + sizeof header;
  } else {
    one->header.flags |= flag_transfer;
    one->header.size = static_cast<std::uint32_t>(sizeof(transfer_head) + table);
    one->frame = frame_of(one->header);
    one->large = room_for(body);
    open.body_ = one->large.get();
  }
  open.channel_ = this;
  open.draft_ = one.release();
  return open;
}

void channel::place_external(draft& in, const base::external& one) {
  external_place place;
  place.size = one.bytes.size();
  std::optional<std::uint32_t> lent;
  if (one.shared != nullptr) {
    place.offset = static_cast<std::uint64_t>(one.bytes.data() - one.shared->data());
    lock_.lock();
    lent = lent_.lend(one.shared, *lane_);
    segments_out_.set(lent_.announced());
    unlock_and_let_go();
  }
  if (!lent) {
    place.offset = 0;
    lent = lend_copy(one.bytes);
  }
  if (lent) {
    place.id = *lent;
  } else {
    place.how = external_place::way::transfer;
    lock_.lock();
    place.id = outbox_.next_transfer_id();
    unlock_and_let_go();
    auto owner = one.owner;
    const auto* at = one.bytes.data();
    if (owner == nullptr) {
      const auto copy = room_for(one.bytes.size());
      std::memcpy(copy.get(), at, one.bytes.size());
      at = copy.get();
      owner = copy;
    }
    in.transfers.push_back({place.id, {at, one.bytes.size()}, std::move(owner)});
  }
  in.places.push_back(place);
}

// Blocks are used again while they are warm: a fresh one costs more in page faults than in copying.
std::shared_ptr<std::byte[]> channel::room_for(std::uint64_t bytes) {
  auto block = assembly_.blocks().take(bytes);
  if (!block) throw std::bad_alloc();
  return block;
}

// The copy is made outside the lock: a segment that is lent is nobody else's to fill.
std::optional<std::uint32_t> channel::lend_copy(std::span<const std::byte> bytes) {
  if (!lane_->passes_descriptors()) return std::nullopt;
  lock_.lock();
  auto loan = lent_.take_idle(bytes.size());
  unlock_and_let_go();
  if (!loan) {
    auto fresh = base::segment::create(bytes.size());
    if (!fresh) return std::nullopt;  // no shared memory left: the payload goes in chunks
    lock_.lock();
    loan = lent_.add(*std::move(fresh), *lane_);
    segments_out_.set(lent_.announced());
    unlock_and_let_go();
    if (!loan) return std::nullopt;
  }
  std::memcpy(loan->to, bytes.data(), bytes.size());
  return loan->id;
}

void channel::commit_direct(reservation::when publish) noexcept {
  if (ring_ != nullptr) [[likely]]
    ring_->commit(open_bytes_);
  else
    lane_->commit(open_bytes_);
  frames_out_.add(1);
  bytes_out_.add(open_bytes_);
  if (publish == reservation::when::now || ++unpublished_ >= batch_frames_max
      || !batches_allowed_.load(std::memory_order_relaxed))
    publish_locked();
  else
    dirty_.store(true, std::memory_order_relaxed);
  lock_.unlock();
}

void channel::commit_draft(draft& what) noexcept {
  lock_.lock();
  auto& frame = what.frame;
  std::byte* body = frame.bytes.get() + sizeof(frame_header);
  std::size_t block = what.body;
  if (what.large) {
    const transfer_head head{outbox_.next_transfer_id(), 0, what.body};
    std::memcpy(body, &head, sizeof head);
    block = sizeof head;
    what.transfers.push_back({head.transfer, {what.large.get(), what.body}, what.large});
  }
  if (!what.places.empty())
    std::memcpy(body + block, what.places.data(), what.places.size() * sizeof(external_place));
  transfers_.add(what.transfers.size());
  frames_out_.add(1);
  bytes_out_.add(frame.size + what.body);
  frame.transfers = std::move(what.transfers);
  outbox_.add(std::move(frame));
  send_drops_locked();
  publish_locked();
  const bool flooded = outbox_.frame_bytes_queued() > bounds_.queue_bytes_max;
  unlock_and_let_go();
  if (flooded)
    end(fail(kind::overloaded, "peer_does_not_read",
             "the peer does not read what it is sent; its queue is full"));
}

void channel::give_up_draft(draft& what) noexcept {
  lock_.lock();
  for (const auto& place : what.places)
    if (place.how == external_place::way::segment) lent_.give_back(place.id);
  unlock_and_let_go();
}

void channel::send_drops_locked() {
  for (const auto id : lent_.take_dropped()) {
    frame_header header;
    header.kind = frame_kind::drop;
    header.call = id;
    outbox_.add(frame_of(header));
  }
}

void channel::send(const frame_header& header, std::span<const std::byte> body) noexcept {
  auto open_frame = open(header, body.size(), {}, when_full::queue);
  if (!open_frame) return;
  if (!body.empty()) std::memcpy(open_frame.body(), body.data(), body.size());
  open_frame.commit();
}

bool channel::has_room(std::size_t body) noexcept {
  lock_.lock();
  if (!outbox_.empty()) outbox_.pump(*lane_);
  const bool large = body > direct_max_;
  const bool room =
      outbox_.frame_bytes_queued() == 0 && (large || lane_->room(frame_bytes(body)) != nullptr);
  if (!room) publish_locked();
  unlock_and_let_go();
  return room;
}

void channel::publish_locked(publishing why) noexcept {
  if (!outbox_.empty()) outbox_.pump(*lane_);
  unpublished_ = 0;
  bool waits = false;
  if (ring_ != nullptr) [[likely]] {
    ring_->publish();
    rang_.store(ring_->rang(), std::memory_order_relaxed);
    waits = !outbox_.empty();
  } else {
    lane_->publish();
    rang_.store(lane_->rang(), std::memory_order_relaxed);
    waits = !outbox_.empty() || lane_->unpublished();
  }
  dirty_.store(waits, std::memory_order_relaxed);
  backlog_.store(waits, waits ? std::memory_order_seq_cst : std::memory_order_relaxed);
  // The reader moves it on, also when it fell asleep before there was a backlog.
  if (waits && why == publishing::frames) wake();
}

void channel::flush_slowly() noexcept {
  lock_.lock();
  if (lane_->unpublished() || !outbox_.empty()) publish_locked();
  unlock_and_let_go();
}

bool channel::pump_backlog() noexcept {
  lock_.lock();
  const bool moved = outbox_.pump(*lane_);
  if (moved || lane_->unpublished()) publish_locked(publishing::backlog);
  unlock_and_let_go();
  return moved;
}

void channel::unlock_and_let_go() noexcept {
  const auto owners = outbox_.take_owners();
  lock_.unlock();
}

}  // namespace berth::net
