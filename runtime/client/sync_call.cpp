#include "runtime/client/attempt.hpp"

#include <berth/call.hpp>
#include <cstring>
#include <new>
#include <utility>

namespace berth {

call_watcher::~call_watcher() = default;

}  // namespace berth

namespace berth::detail {

/// Lies in the call's own room: a warm call allocates nothing.
struct sync_call::state {
  explicit state(const call_settings& how)
      : clock(call_clock::starting(how)),
        events(how.watch),
        slot(how.watch != nullptr ? &events : nullptr) {}

  call_clock clock;
  call_tally tally;
  client::way over;
  watching events;
  net::pending slot;
  net::reservation room;
  bytes aside;  // the block while its externals are not known yet
  std::vector<external> received;
};

std::byte* sync_call::begin(const codec::plan& plan) {
  static_assert(sizeof(state) <= sizeof room_ && alignof(state) <= 64);
  if (to_ == nullptr) {
    error_ = fail(kind::invalid, "empty_handle",
                  "this handle refers to no function; get one from a client");
    return nullptr;
  }
  if (state_ == nullptr) {
    if (plan.bytes > codec::block_bytes_max) {
      error_ = codec::check(plan).error();
      return nullptr;
    }
    state_ = new (room_) state(how_);
  }
  auto& self = *state_;
  for (;;) {
    if (!to_->pick_open(how_.bucket, self.over)) {
      auto over = to_->pick(how_.bucket, self.clock.end);
      if (!over) {
        error_ = no_way(std::move(over).error(), to_->ref(), self.clock, self.tally);
        return nullptr;
      }
      self.over = *std::move(over);
    }
    if (plan.externals != 0) {
      self.aside.resize(plan.bytes);
      return self.aside.data();
    }
    self.events.begin();
    self.room = room_for(self.slot, self.over, header_for(self.over, self.clock), plan.bytes, {},
                         how_, self.clock);
    if (self.room) return self.room.body();
    if (judge(*to_, self.over, self.slot, self.clock, self.tally, error_) == verdict::failed)
      return nullptr;
  }
}

sync_call::step sync_call::finish(const std::vector<external>& externals) {
  auto& self = *state_;
  if (!externals.empty()) {
    self.events.begin();
    self.room = room_for(self.slot, self.over, header_for(self.over, self.clock), self.aside.size(),
                         for_lane(externals), how_, self.clock);
  }
  if (self.room) {
    if (!externals.empty()) std::memcpy(self.room.body(), self.aside.data(), self.aside.size());
    self.room.commit();
    self.over.to->link().wait(self.slot, self.clock.end, net::link::late::ask);
    if (how_.watch != nullptr && client::tells_its_end(self.slot)) self.events.await_end();
  }
  const bool plain = self.slot.how() == net::completion::answered
                     && self.slot.answer().header.kind == net::frame_kind::result;
  if (!plain) {
    const auto end = judge(*to_, self.over, self.slot, self.clock, self.tally, error_);
    return end == verdict::again ? step::again : step::failed;
  }
  auto& answer = self.slot.answer();
  if (!answer.externals.empty()) self.received = from_lane(answer.externals);
  reply_ = {answer.body.bytes(), self.received};
  version_ = self.over.to->version;
  return step::answered;
}

void sync_call::end() noexcept {
  state_->~state();
}

call_settings merged(const call_settings& how, const call_options& options, const callee_ref& of) {
  call_settings now = how;
  if (options.sticky && of) now.bucket = of->bucket_for(*options.sticky);
  if (options.patience) now.patience = *options.patience;
  if (options.in_flight) now.in_flight = *options.in_flight;
  if (options.ordered) now.ordered = *options.ordered;
  if (options.watch != nullptr) now.watch = options.watch;
  return now;
}

}  // namespace berth::detail
