// What the polling thread does with links: greets, opens, reads frames and runs the handler, closes.

#include "runtime/net/call_messages.hpp"
#include "runtime/net/server_poll.hpp"
#include "runtime/net/server_state.hpp"

#include <algorithm>
#include <cstring>
#include <sys/epoll.h>
#include <unistd.h>
#include <utility>

namespace berth::net {
namespace {

constexpr int frames_per_link_max = 64;
constexpr std::size_t scan_all_max =
    64;  // links; above, only those with traffic lately are looked at each turn
constexpr std::uint64_t hot_us = 1000;
constexpr std::uint64_t batch_us_max = 5;  // how long an answer may wait for its batch
constexpr std::size_t greetings_max = 256;

/// Says when the answers that wait for their batch have waited long enough.
class batch_clock {
 public:
  explicit batch_clock(std::uint64_t ticks_per_us) noexcept : us_(ticks_per_us) {}

  /// Asked before each frame but the first. Looks at the clock (10 ns) each time, but once in four frames while those
  /// are so short that sixteen of them, which are published anyway, take no longer.
  bool is_over() noexcept {
    if (skip_ > 0) {
      --skip_;
      return false;
    }
    const auto now = base::ticks();
    const bool fast = looked_ != 0 && now - looked_ < batch_us_max * us_ / 4;
    skip_ = fast ? 3 : 0;
    looked_ = now;
    if (begun_ != 0 && now - begun_ <= batch_us_max * us_) return false;
    const bool over = begun_ != 0;
    begun_ = now;
    return over;
  }

 private:
  const std::uint64_t us_;
  std::uint64_t begun_ = 0;
  std::uint64_t looked_ = 0;
  int skip_ = 0;
};

error_info unexpected() {
  return fail(kind::disconnected, "broken_link",
              "the peer broke the protocol: a caller does not send this kind of frame");
}

}  // namespace

server::state::kept server::state::scan(const std::vector<link_ptr>& which, bool& progress) {
  for (std::size_t i = 0; i < which.size(); ++i) {
    auto& through = *which[i]->self_->through;
    if (!through.ready() && !through.hung_up()) [[likely]] {
      through.flush();
      continue;
    }
    progress = true;
    if (serve(which[i]) == kept::nothing) return kept::nothing;
    if (through.ended()) return close_ended();  // `which` has changed
  }
  return kept::turn;
}

server::state::kept server::state::serve(const link_ptr& from) {
  auto& link = *from;
  auto& through = *link.self_->through;
  last_active_ = &link;
  link.self_->had_frames = true;
  batch_clock waited(us_);
  arrival what;
  for (int frames = 0; frames < frames_per_link_max; ++frames) {
    const auto found = through.take(what);
    if (found != look::frame) break;
    if (frames != 0 && waited.is_over()) through.flush();
    if (dispatch(link, what) == kept::nothing) return kept::nothing;
  }
  through.flush();
  return kept::turn;
}

server::state::kept server::state::dispatch(served_link& from, arrival& what) {
  auto& through = *from.self_->through;
  if (what.whole) {
    const message whole = through.keep(what);
    through.expect_more(through.ready());
    return hand_on(from, {whole.header, whole.body.bytes(), whole.externals});
  }
  auto& room = bodies_[poller_];
  if (room.empty() || room.size() < what.header.size) room.resize(through.body_bytes_direct());
  std::memcpy(room.data(), what.raw, what.header.size);
  through.done(what);
  // An answer that nothing follows is published at once, without another turn of the send lock.
  through.expect_more(through.ready());
  return hand_on(from, message_view{what.header, {room.data(), what.header.size}, {}});
}

// What must not be overtaken by the next frame keeps the turn: a stream's call would lose its first items, and those their
// order.
server::state::kept server::state::hand_on(served_link& from, const message_view& what) {
  const auto call = what.header.call;
  switch (what.header.kind) {
    case frame_kind::call:
      if ((what.header.flags & flag_items_in) == 0) [[likely]]
        return guarded(&from, [&] { does_.on_call(from, what); });
      does_.on_call(from, what);
      return kept::turn;
    case frame_kind::request:
      return guarded(&from, [&] { does_.on_request(from, what); });
    case frame_kind::item:
      does_.on_item(from, what);
      return kept::turn;
    case frame_kind::end:
      does_.on_end(from, call);
      return kept::turn;
    case frame_kind::cancel:
      if (!refuse_arriving(from, call)) does_.on_cancel(from, call);
      return kept::turn;
    case frame_kind::credit:
      does_.on_credit(from, call, what.header.binding);
      return kept::turn;
    default:
      from.self_->through->end(unexpected(), channel::tell::reason);
      return kept::turn;
  }
}

// Cancelled while its arguments were on their way: it will never start.
bool server::state::refuse_arriving(served_link& from, std::uint64_t call) {
  if (!from.self_->through->drop_arriving(call)) return false;
  frame_header refused;
  refused.kind = frame_kind::failure;
  refused.flags = flag_not_started;
  refused.call = call;
  const auto body =
      encode_failure(fail(kind::cancelled, "cancelled", "cancelled before it started"));
  from.self_->through->send(refused, body);
  return true;
}

// ---------------------------------------------------------------------------------------- coming and going

// Not a posted job: those run in a way that the spare may take the turn, and this touches what only the turn protects.
void server::state::adopt(accepted socket) {
  {
    const std::lock_guard lock(mutex_);
    arriving_.push_back(std::move(socket));
    has_posted_.store(true, std::memory_order_seq_cst);
  }
  if (asleep_.load(std::memory_order_seq_cst)) wake();
}

void server::state::admit(accepted socket) {
  auto one = std::make_unique<greeting>(std::move(socket), base::after(how_.greeting_max));
  if (stopping_.load(std::memory_order_relaxed))
    return one->refuse(fail(kind::disconnected, "stopping", "the server is stopping"));
  if (links_.size() >= how_.links_max || greetings_.size() >= greetings_max)
    return one->refuse(
        fail(kind::overloaded, "too_many_links", "the server holds as many links as it may"));
  const auto id = ++last_id_;
  epoll_event reads{};
  reads.events = EPOLLIN | EPOLLRDHUP;
  reads.data.u64 = mark_of(id, source::greeting_socket);
  if (::epoll_ctl(polls_.get(), EPOLL_CTL_ADD, one->socket(), &reads) != 0)
    return one->refuse(fail(kind::overloaded, "too_many_links", "the server can watch no more"));
  greetings_.emplace(id, std::move(one));
}

server::state::kept server::state::greet(std::uint64_t id) {
  const auto found = greetings_.find(id);
  if (found == greetings_.end()) return kept::turn;
  auto& one = *found->second;
  ::epoll_ctl(polls_.get(), EPOLL_CTL_DEL, one.socket(), nullptr);
  const auto how = one.go_on(terms_);
  if (how == greeting::progress::waits) {
    epoll_event reads{};
    reads.events = EPOLLIN | EPOLLRDHUP;
    reads.data.u64 = mark_of(id, source::greeting_socket);
    ::epoll_ctl(polls_.get(), EPOLL_CTL_ADD, one.socket(), &reads);
    return kept::turn;
  }
  const auto done = std::move(found->second);
  greetings_.erase(found);
  if (how == greeting::progress::refused) return kept::turn;
  return open_link(done->take_lane(), done->peer());
}

void server::state::end_late_greetings() {
  if (greetings_.empty()) return;
  const auto now = base::steady::now();
  std::erase_if(greetings_, [&](const auto& each) {
    if (each.second->deadline() > now) return false;
    each.second->refuse(fail(kind::timed_out, "greeting", "the greeting took too long"));
    return true;
  });
}

server::state::kept server::state::open_link(std::unique_ptr<lane> over, const peer_facts& peer) {
  auto facts = std::make_unique<served_link::state>();
  channel::limits bounds;
  bounds.queue_bytes_max = how_.queue_bytes_max;
  bounds.segment_bytes_max = how_.segment_bytes_max;
  facts->through = std::make_shared<channel>(std::move(over), bounds);
  facts->peer = peer;
  facts->id = ++last_id_;
  facts->last_frame_ticks = base::ticks();
  facts->through->over().tell_cpu();
  const link_ptr link(new served_link(std::move(facts)));
  const auto& lane = link->self_->through->over();
  epoll_event reads{};
  reads.events = EPOLLIN;
  reads.data.u64 = mark_of(link->id(), source::link_bell);
  ::epoll_ctl(polls_.get(), EPOLL_CTL_ADD, lane.bell(), &reads);
  reads.events = EPOLLIN | EPOLLRDHUP;
  reads.data.u64 = mark_of(link->id(), source::link_socket);
  ::epoll_ctl(polls_.get(), EPOLL_CTL_ADD, lane.socket(), &reads);
  links_.push_back(link);
  list_links();
  choose_hot();
  // The turn stays here meanwhile: whoever took it could hand on frames of a link that is not open yet.
  does_.on_open(*link);
  return kept::turn;
}

server::state::kept server::state::close_ended() {
  for (;;) {
    const auto found = std::find_if(links_.begin(), links_.end(), [](const link_ptr& one) {
      return one->self_->through->ended();
    });
    if (found == links_.end()) return kept::turn;
    if (close_link(*found) == kept::nothing) return kept::nothing;
  }
}

server::state::kept server::state::close_link(link_ptr which) {
  const auto& lane = which->self_->through->over();
  ::epoll_ctl(polls_.get(), EPOLL_CTL_DEL, lane.bell(), nullptr);
  ::epoll_ctl(polls_.get(), EPOLL_CTL_DEL, lane.socket(), nullptr);
  std::erase(links_, which);
  if (last_active_ == which.get()) last_active_ = nullptr;
  graveyard_.push_back(which);
  list_links();
  choose_hot();
  const auto why = which->self_->through->why();
  return guarded(nullptr, [&] { does_.on_closed(*which, why); });
}

void server::state::list_links() {
  const std::lock_guard lock(mutex_);
  listed_ = links_;
}

// Up to 64 rings are all looked at each turn (2 ns a ring); a look at a socket asks the kernel (200 ns), so those and
// the rings beyond 64 are looked at only while they have traffic.
void server::state::choose_hot() {
  const bool few = links_.size() <= scan_all_max;
  const auto now = base::ticks();
  hot_.clear();
  for (const auto& one : links_) {
    if (std::exchange(one->self_->had_frames, false)) one->self_->last_frame_ticks = now;
    const bool ring = one->self_->through->over().name() == "ring";
    if ((few && ring) || now - one->self_->last_frame_ticks < hot_us * us_) hot_.push_back(one);
  }
}

void server::state::listen_for_room(served_link& which) {
  const auto& lane = which.self_->through->over();
  const bool wants = which.self_->through->waits_for_writable();
  if (wants == std::exchange(which.self_->wants_writable, wants)) return;
  epoll_event how{};
  how.events = EPOLLIN | EPOLLRDHUP | (wants ? EPOLLOUT : 0U);
  how.data.u64 = mark_of(which.id(), source::link_socket);
  ::epoll_ctl(polls_.get(), EPOLL_CTL_MOD, lane.socket(), &how);
}

void server::state::note_event(std::uint64_t mark, bool readable) {
  const auto id = id_of(mark);
  switch (source_of(mark)) {
    case source::server_bell: {
      std::uint64_t count;
      static_cast<void>(!::read(bell_.get(), &count, sizeof count));
      return;
    }
    case source::greeting_socket:
      greeted_.push_back(id);
      return;
    default: {
      const auto found = std::find_if(links_.begin(), links_.end(),
                                      [&](const link_ptr& one) { return one->id() == id; });
      if (found == links_.end()) return;
      const bool bell = source_of(mark) == source::link_bell;
      auto& link = *(*found)->self_;
      link.through->after_sleep(bell, !bell && readable);
      link.last_frame_ticks = base::ticks();
    }
  }
}

void server::state::end_all() {
  for (auto& [id, one] : greetings_)
    one->refuse(fail(kind::disconnected, "stopping", "the server is stopping"));
  greetings_.clear();
  const auto why = fail(kind::disconnected, "stopping", "the server is stopping");
  for (const auto& one : links_)
    one->self_->through->end(why, channel::tell::reason);
  // They last until both threads have ended: the absent one may still be inside a handler for one of them.
  const auto all = std::exchange(links_, {});
  graveyard_.insert(graveyard_.end(), all.begin(), all.end());
  hot_.clear();
  list_links();
  for (const auto& one : all)
    does_.on_closed(*one, one->self_->through->why());
}

}  // namespace berth::net
