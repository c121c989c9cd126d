#include "runtime/net/link.hpp"

#include "runtime/base/ensure.hpp"
#include "runtime/base/futex.hpp"
#include "runtime/net/driver_state.hpp"
#include "runtime/net/link_state.hpp"

#include <cstring>
#include <string>
#include <utility>

namespace berth::net {
namespace {

constexpr int frames_per_drain_max = 64;
constexpr std::uint32_t retry_after_ms = 5;  // a queue of a thousand short calls is gone by then

bool passed(base::time_point deadline) {
  return deadline != base::never && base::steady::now() >= deadline;
}

}  // namespace

base::waiter& waiter_of_thread() {
  thread_local base::waiter mine;
  return mine;
}

pending::~pending() {
  base::ensure(done(), "a slot ended while its call was under way");
}

// ---------------------------------------------------------------------------------------- the reader role

void link::state::step_down() noexcept {
  own = nullptr;
  reader.store(0, std::memory_order_seq_cst);
  if (parked.load(std::memory_order_seq_cst) != 0) return wake_one_parked();
  if (async_calls.any()) notice_async();
}

void link::state::step_down_quietly() noexcept {
  reader.store(0, std::memory_order_seq_cst);
  if (parked.load(std::memory_order_seq_cst) != 0) wake_one_parked();
}

void link::state::wake_one_parked() noexcept {
  const std::lock_guard lock(parked_mutex);
  if (parked_first == nullptr) return;
  parked_first->state_.fetch_or(pending::lead_bit, std::memory_order_seq_cst);
  base::futex_wake(parked_first->state_, 1);
}

void link::state::park(pending& slot) noexcept {
  const std::lock_guard lock(parked_mutex);
  slot.parked_prev_ = nullptr;
  slot.parked_next_ = parked_first;
  if (parked_first != nullptr) parked_first->parked_prev_ = &slot;
  parked_first = &slot;
  parked.fetch_add(1, std::memory_order_seq_cst);
}

void link::state::unpark(pending& slot) noexcept {
  const std::lock_guard lock(parked_mutex);
  (slot.parked_prev_ != nullptr ? slot.parked_prev_->parked_next_ : parked_first) =
      slot.parked_next_;
  if (slot.parked_next_ != nullptr) slot.parked_next_->parked_prev_ = slot.parked_prev_;
  parked.fetch_sub(1, std::memory_order_seq_cst);
}

template <class Until>
bool link::state::run(pending& slot, base::time_point deadline, Until&& until) {
  while (!until()) {
    if (try_lead()) {
      sync_drives.add(1);
      drive(slot, deadline, until);
      step_down();
    } else {
      follow(slot, deadline, until);
    }
    if (!until() && passed(deadline)) return false;
  }
  return true;
}

template <class Until>
void link::state::drive(pending& slot, base::time_point deadline, Until&& until) {
  auto& habits = waiter_of_thread();
  own = slot.events_ == nullptr ? &slot : nullptr;
  if (through->awake()) disarm_watch();
  through->over().tell_cpu();
  for (;;) {
    const bool progress = drain();
    if (until()) return;
    if (through->ended()) return lose_all();
    if (progress) continue;
    through->flush();
    const bool ready = habits.spin([&] { return through->ready() || until(); }, through->rang(),
                                   through->over().peer_cpu());
    (ready ? spin_hits : spin_misses).add(1);
    if (ready) continue;
    if (passed(deadline)) return;
    through->doze(deadline, [&] {
      if (starving.load(std::memory_order_seq_cst) != 0) poke_starving();
      return until() || through->ended();
    });
    through->over().tell_cpu();
    if (passed(deadline)) return;
  }
}

// The callback thread slept until the peer rings, and now the peer rings no more: calls that begin from here on must give
// notice again. Those that began before have left the send lock, and are seen when the role is given back.
void link::state::disarm_watch() noexcept {
  auto armed = watching::armed;
  if (!watch.compare_exchange_strong(armed, watching::idle, std::memory_order_seq_cst)) return;
  through->send_lock().lock();
  through->send_lock().unlock();
}

template <class Until>
void link::state::follow(pending& slot, base::time_point deadline, Until&& until) {
  through->flush();
  contenders.fetch_add(1, std::memory_order_seq_cst);
  const bool soon = waiter_of_thread().spin(
      [&] { return until() || reader.load(std::memory_order_relaxed) == 0; }, false, base::no_cpu);
  if (soon) {
    contenders.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  park(slot);
  for (;;) {
    auto now = slot.state_.load(std::memory_order_acquire);
    if (until() || (now & pending::lead_bit) != 0) break;
    if (reader.load(std::memory_order_seq_cst) == 0) break;
    if ((now & pending::parked_bit) == 0) {
      if (!slot.state_.compare_exchange_weak(now, now | pending::parked_bit)) continue;
      now |= pending::parked_bit;
    }
    if (!base::futex_wait(slot.state_, now, deadline)) break;
  }
  unpark(slot);
  contenders.fetch_sub(1, std::memory_order_relaxed);
  const auto was = slot.state_.fetch_and(~(pending::parked_bit | pending::lead_bit));
  // Asked to lead, but done or out of time: the role must not be left lying about while others are parked.
  if ((was & pending::lead_bit) != 0 && (until() || passed(deadline)) && try_lead()) step_down();
}

void link::state::notice_async() noexcept {
  if (how_.drives != nullptr && watch.load(std::memory_order_seq_cst) != watching::ticking)
    how_.drives->self_->notice(*this);
}

// ---------------------------------------------------------------------------------------- by the leader

bool link::state::drain() {
  arrival what;
  int frames = 0;
  for (; frames < frames_per_drain_max; ++frames) {
    const auto found = through->take(what);
    if (found == look::nothing) break;
    if (found == look::broken) {
      lose_all();
      return true;
    }
    on_frame(what);
  }
  if (ended_quietly) wake_who_was_not_woken();
  if (frames != 0 && starving.load(std::memory_order_relaxed) != 0) poke_starving();
  return frames != 0;
}

void link::state::on_frame(arrival& what) {
  switch (what.header.kind) {
    case frame_kind::result:
    case frame_kind::failure:
    case frame_kind::moved:
    case frame_kind::reply:
      return on_final(what);
    case frame_kind::item:
    case frame_kind::end:
    case frame_kind::log:
    case frame_kind::progress:
    case frame_kind::credit:
      return on_event(what);
    default:
      through->done(what);
      through->end(fail(kind::disconnected, "broken_link",
                        "the peer broke the protocol: a callee does not send this kind of frame"),
                   channel::tell::reason);
  }
}

void link::state::on_final(arrival& what) {
  pending* slot = calls.knows(what.header.call) ? calls.finish(what.header.call, own) : nullptr;
  if (slot == nullptr) {  // its caller has given up
    what.whole.reset();
    return through->done(what);
  }
  if (what.whole) {
    slot->answer_ = through->keep(what);
  } else {
    slot->answer_.header = what.header;
    std::memcpy(slot->answer_.body.reset(what.header.size), what.raw, what.header.size);
    through->done(what);
  }
  complete(*slot, completion::answered);
}

void link::state::on_event(arrival& what) {
  const auto id = what.header.call;
  pending* slot = calls.knows(id) ? calls.borrow(id) : nullptr;
  if (slot == nullptr) {
    what.whole.reset();
    return through->done(what);
  }
  if (what.header.kind == frame_kind::credit) {
    through->done(what);
    slot->credit_.fetch_add(what.header.binding, std::memory_order_acq_rel);
    if (what.header.binding == 0) slot->state_.fetch_or(pending::heard_bit);
    if (slot->events_ != nullptr) slot->events_->on_credit(*slot);
  } else {
    message kept = through->keep(what);
    if (slot->events_ != nullptr)
      slot->events_->on_event(*slot, kept);
    else if (how_.events != nullptr)
      how_.events->on_stray(self, kept);
  }
  bump(*slot);
  calls.put_back(id, *slot);
}

void link::state::bump(pending& slot) noexcept {
  const auto was = slot.state_.fetch_add(pending::event_one, std::memory_order_seq_cst);
  if ((was & pending::parked_bit) != 0) base::futex_wake(slot.state_, 1);
}

// Nobody but the leader waits for its own slot. Waiters of a call with `call_events` are looked for once a drain, before
// the leader sleeps or steps down: until then a plain store is enough.
void link::state::complete(pending& slot, completion how) noexcept {
  call_events* events = slot.events_;  // the slot may be gone once it is done, unless it has events
  slot.how_ = how;
  if (events == nullptr && &slot != own) {
    const auto was =
        slot.state_.fetch_add(pending::event_one | pending::done_bit, std::memory_order_acq_rel);
    if ((was & pending::parked_bit) != 0) base::futex_wake(slot.state_, 1);
    return;
  }
  const auto now = slot.state_.load(std::memory_order_relaxed);
  slot.state_.store((now + pending::event_one) | pending::done_bit, std::memory_order_release);
  if (events == nullptr) return;
  ended_quietly = true;
  async_calls.ended();
  events->on_done(slot);
}

// A waiter counts itself as parked before it looks at its slot again: either it sees the end, or we see it here.
void link::state::wake_who_was_not_woken() noexcept {
  ended_quietly = false;
  reader.exchange(1, std::memory_order_seq_cst);
  if (parked.load(std::memory_order_seq_cst) == 0) return;
  const std::lock_guard lock(parked_mutex);
  for (auto* slot = parked_first; slot != nullptr; slot = slot->parked_next_)
    if (slot->done()) base::futex_wake(slot->state_, 1);
}

void link::state::lose_all() {
  std::vector<pending*> lost;
  {
    const std::lock_guard lock(through->send_lock());
    calls.finish_all([&](pending& slot) { lost.push_back(&slot); });
  }
  const auto why = through->why();
  for (auto* slot : lost) {
    slot->set_error(why);
    complete(*slot, completion::lost);
  }
  if (ended_quietly) wake_who_was_not_woken();
  poke_starving();
  if (!std::exchange(told_closed, true) && how_.events != nullptr)
    how_.events->on_closed(self, why);
}

void link::state::poke_starving() noexcept {
  const std::lock_guard lock(parked_mutex);
  for (auto* slot = parked_first; slot != nullptr; slot = slot->parked_next_)
    bump(*slot);
}

// ---------------------------------------------------------------------------------------- by callers

// A caller that waits for the link rather than for a result leads and follows like any other, with a slot of its own.
template <class Can>
bool link::state::starve(base::time_point until, Can&& can) {
  if (passed(until)) return can();
  pending ticket;
  ticket.state_.store(0, std::memory_order_relaxed);
  starving.fetch_add(1, std::memory_order_seq_cst);
  const bool fed = run(ticket, until, can);
  starving.fetch_sub(1, std::memory_order_relaxed);
  ticket.state_.store(pending::done_bit, std::memory_order_relaxed);
  return fed;
}

bool link::state::wait_for_credit_and_room(std::size_t body, base::time_point until) {
  return starve(until,
                [&] { return through->ended() || (calls.has_place() && through->has_room(body)); });
}

bool link::state::wait_for_room(std::size_t body, base::time_point until) {
  return starve(until, [&] { return through->ended() || through->has_room(body); });
}

void link::state::give_up(pending& slot, completion how, leave what) {
  if (!calls.give_up(slot.id_, slot)) {
    // The reader has it: done in a moment, unless the reader was descheduled.
    for (int looks = 0; !slot.done(); ++looks) {
      if (looks < 200)
        base::relax();
      else
        base::futex_wait(slot.state_, slot.state_.load(),
                         base::after(std::chrono::milliseconds(1)));
    }
    return;
  }
  slot.how_ = how;
  if (slot.events_ != nullptr) async_calls.let_go();
  slot.state_.fetch_or(pending::done_bit, std::memory_order_release);
  if (what == leave::leave_running) return;
  frame_header stop;
  stop.kind = frame_kind::cancel;
  stop.call = slot.id_;
  through->send(stop);
}

link::link(std::shared_ptr<channel> through, peer_facts peer, std::uint32_t credits, options how)
    : self_(std::make_unique<state>(*this, std::move(through), std::move(peer), credits, how)) {
  if (self_->how_.drives != nullptr) self_->how_.drives->self_->know(*self_);
}

link::~link() {
  // After fork() neither the threads nor the rings are here, and the socket is the parent's.
  if (self_->through->forked()) {
    static_cast<void>(self_.release());
    return;
  }
  close();
  if (self_->how_.drives != nullptr) self_->how_.drives->self_->forget(*self_);
}

reservation link::begin(pending& slot,
                        const frame_header& header,
                        std::size_t body,
                        std::span<const base::external> externals,
                        base::time_point patience_until) {
  auto& me = *self_;
  slot.begin();
  slot.credit_.store(items_initial, std::memory_order_relaxed);
  reservation open;
  const auto refuse = [&](error_info why) {
    slot.set_error(std::move(why));
    slot.how_ = completion::refused;
    slot.state_.store(pending::done_bit, std::memory_order_release);
  };
  for (;;) {
    if (me.calls.has_place()) [[likely]] {
      open = me.through->open(header, body, externals, channel::when_full::refuse);
      if (open && me.enter(open, slot)) return open;
      open = {};
    }
    if (me.through->forked()) {
      refuse(fail(kind::invalid, "forked",
                  "this handle belongs to the parent process: connect again after fork()"));
      return open;
    }
    if (me.through->ended()) {
      refuse(me.through->why());
      return open;
    }
    if (body > message_bytes_max || externals.size() > externals_max) {
      refuse(fail(kind::invalid, "too_large", "a call's arguments may hold 4 GiB at most"));
      return open;
    }
    if (!me.wait_for_credit_and_room(body, patience_until)) {
      me.through->count_overload();
      auto why =
          fail(kind::overloaded, "queue_full", "the callee's queue is full; nothing was started");
      why.retry_after_ms = retry_after_ms;
      refuse(std::move(why));
      return open;
    }
  }
}

// Under the send lock, which a direct reservation holds already; the id goes into the header that was just written.
// Under it, too, the callback thread learns of the call, or we learn that it rests (`driver::state::rest`).
bool link::state::enter(reservation& open, pending& slot) noexcept {
  const bool direct = open.draft_ == nullptr;
  if (!direct) through->send_lock().lock();
  const bool enters = calls.has_place() && !through->ended();
  bool rests = false;
  if (enters) [[likely]] {
    slot.state_.store(0, std::memory_order_relaxed);
    slot.id_ = calls.take(slot);
    if (slot.events_ != nullptr) {
      async_calls.begun();
      rests = watch.load(std::memory_order_relaxed) == watching::idle;
    }
    open.undo_on_ = this;
    open.undo_what_ = slot.id_;
    open.undo_ = [](void* on, std::uint64_t id) noexcept { static_cast<state*>(on)->undo(id); };
  }
  if (!direct) through->send_lock().unlock();
  if (!enters) return false;
  open.set_call(slot.id_);
  if (rests) notice_async();
  return true;
}

void link::state::undo(std::uint64_t id) noexcept {
  pending* slot = nullptr;
  {
    const std::lock_guard lock(through->send_lock());
    slot = calls.untake(id);
  }
  if (slot == nullptr) return;  // the link ended meanwhile and completed it
  if (slot->events_ != nullptr) async_calls.let_go();
  slot->how_ = completion::abandoned;
  slot->state_.fetch_or(pending::done_bit, std::memory_order_release);
}

completion link::wait(pending& slot, base::time_point deadline, late then) {
  const auto done = [&] { return slot.done(); };
  if (self_->run(slot, deadline, done)) return slot.how_;
  if (then == late::ask && !slot.done()) {
    cancel(slot);
    self_->run(slot, base::after(cancel_answer_max),
               [&] { return slot.done() || slot.cancel_heard(); });
  }
  if (!slot.done())
    self_->give_up(slot, completion::timed_out,
                   then == late::ask ? leave::leave_running : leave::stop_it);
  // A result that came because the callee was told to stop is none.
  const bool in_time = then == late::abandon && slot.how_ == completion::answered;
  if (in_time || slot.how_ == completion::lost || slot.never_started()) return slot.how_;
  slot.how_ = completion::timed_out;
  slot.set_error(fail(kind::timed_out, "unknown",
                      "the deadline passed while the call was under way; it may have started"));
  return slot.how_;
}

completion link::wait_event(pending& slot, std::uint32_t seen, base::time_point deadline) {
  self_->run(slot, deadline, [&] { return slot.done() || slot.events_seen() != seen; });
  return slot.done() ? slot.how_ : completion::under_way;
}

void link::poke(pending& slot) noexcept {
  self_->bump(slot);
  self_->through->wake();
}

void link::cancel(pending& slot) noexcept {
  if (slot.done()) return;
  frame_header stop;
  stop.kind = frame_kind::cancel;
  stop.call = slot.id_;
  self_->through->send(stop);
}

void link::abandon(pending& slot, leave what) noexcept {
  if (!slot.done()) self_->give_up(slot, completion::abandoned, what);
}

reservation link::begin_item(pending& slot,
                             std::size_t body,
                             std::span<const base::external> externals,
                             base::time_point patience_until,
                             error_info* error) {
  auto& me = *self_;
  const auto refuse = [&](error_info why) {
    if (error != nullptr) *error = std::move(why);
    return reservation();
  };
  frame_header header;
  header.kind = frame_kind::item;
  header.call = slot.id_;
  for (;;) {
    if (slot.done())
      return refuse(me.through->ended() ? me.through->why()
                                        : fail(kind::cancelled, "call_ended",
                                               "the call ended before all items were sent"));
    const auto seen = slot.events_seen();
    if (slot.credit() == 0) {
      wait_event(slot, seen, patience_until);
      if (!slot.done() && slot.credit() == 0 && passed(patience_until)) break;
      continue;
    }
    auto open = me.through->open(header, body, externals, channel::when_full::refuse);
    if (open) {
      slot.credit_.fetch_sub(1, std::memory_order_acq_rel);
      return open;
    }
    if (!me.wait_for_room(body, patience_until)) break;
  }
  return refuse(
      fail(kind::overloaded, "stream_full", "the callee does not take the stream's items"));
}

void link::end_items(pending& slot) noexcept {
  frame_header header;
  header.kind = frame_kind::end;
  header.call = slot.id_;
  if (!slot.done()) self_->through->send(header);
}

void link::grant(pending& slot, std::uint32_t n) noexcept {
  frame_header header;
  header.kind = frame_kind::credit;
  header.call = slot.id_;
  header.binding = n;
  if (!slot.done()) self_->through->send(header);
}

void link::flush() noexcept {
  self_->through->flush();
}

std::size_t link::body_bytes_direct() const noexcept {
  return self_->through->body_bytes_direct();
}

bool link::closed() const noexcept {
  return self_->through->ended();
}

error_info link::why_closed() const {
  return self_->through->why();
}

void link::close() noexcept {
  auto& me = *self_;
  if (me.through->forked()) return;
  if (!me.through->ended())
    me.through->end(fail(kind::disconnected, "closed", "the link was closed by this program"),
                    channel::tell::reason);
  // Whoever leads finds the end; when nobody does, it is us.
  if (me.try_lead()) {
    me.lose_all();
    me.step_down_quietly();
  } else {
    me.through->wake();
  }
}

const peer_facts& link::peer() const noexcept {
  return self_->peer;
}

std::uint32_t link::in_flight() const noexcept {
  return self_->calls.in_flight();
}

link_statistics link::statistics() const {
  auto all = self_->through->statistics();
  all.spin_hits = self_->spin_hits.get();
  all.spin_misses = self_->spin_misses.get();
  all.in_flight = self_->calls.in_flight();
  return all;
}

}  // namespace berth::net
