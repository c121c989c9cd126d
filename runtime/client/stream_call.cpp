#include "runtime/client/attempt.hpp"
#include "runtime/value/lane_memory.hpp"

#include <berth/call.hpp>
#include <berth/function.hpp>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <utility>

namespace berth::detail {
namespace {

// Half the window at a time: one credit frame for many items, and the callee never runs dry while we read.
constexpr std::uint32_t grant_after = net::link::items_initial / 2;

/// A call whose items come and go while its caller drives it.
class stream_call_core final : public stream_call, public client::ended_events {
 public:
  stream_call_core(callee_ref to, const call_settings& how, items from_caller)
      : to_(std::move(to)),
        how_(how),
        from_caller_(from_caller),
        slot_(std::make_unique<net::pending>(this)) {}

  ~stream_call_core() override {
    if (under_way_) client::let_go(over_.to->link(), *slot_, *this);
  }

  std::byte* room(const codec::plan& plan) override {
    if (auto fits = codec::check(plan); !fits) why_ = std::move(fits).error();
    block_.resize(why_ ? 0 : plan.bytes);
    refused_.resize(why_ ? plan.bytes : 0);
    return why_ ? refused_.data() : block_.data();
  }

  void start(std::vector<external> externals) override;
  turn next(wish what) override;

  block_view block() const noexcept override { return current_view_; }

  void send(bytes block, std::vector<external> externals) override;
  void end_items() override;

  error_info& error() noexcept override { return *why_; }

  std::uint32_t version() const noexcept override { return over_.to ? over_.to->version : 0; }

 private:
  /// An item the callee may not have seen: kept until the call is known to have started.
  struct kept_item {
    bytes block;
    std::vector<external> externals;
  };

  void on_event(net::pending& slot, net::message& what) noexcept override;
  bool try_send();
  bool send_item(const kept_item& item);
  bool take_item();
  turn after_end();
  void show(net::message& what);

  const callee_ref to_;
  const call_settings how_;
  const items from_caller_;
  bytes block_;
  bytes refused_;
  std::vector<external> externals_;
  call_clock clock_;
  call_tally tally_;
  client::way over_;
  std::unique_ptr<net::pending> slot_;
  bool under_way_ = false;
  std::optional<error_info> why_;

  std::mutex mutex_;  // items that arrived
  std::deque<net::message> arrived_;
  net::message current_;
  std::vector<external> current_externals_;
  block_view current_view_;
  std::uint32_t read_since_grant_ = 0;

  bool started_ = false;  // the callee has shown that it runs
  bool items_ended_ = false;
  std::vector<kept_item> sent_;
};

void stream_call_core::start(std::vector<external> externals) {
  if (why_) return;
  if (to_ == nullptr) {
    why_ = fail(kind::invalid, "empty_handle",
                "this handle refers to no function; get one from a client");
    return;
  }
  externals_ = std::move(externals);
  for (auto& one :
       externals_) {  // kept: the call may be sent again, and arguments may be gone by then
    if (one.owner) continue;
    one.owner = heap_memory(one.bytes);
    std::memcpy(one.owner->data(), one.data, one.bytes);
    one.data = one.owner->data();
  }
  clock_ = call_clock::starting(how_);
  try_send();
}

bool stream_call_core::try_send() {
  for (;;) {
    auto over = to_->pick(how_.bucket, clock_.end);
    if (!over) {
      why_ = no_way(std::move(over).error(), to_->ref(), clock_, tally_);
      return false;
    }
    over_ = *std::move(over);
    auto header = header_for(over_, clock_);
    if (from_caller_ == items::sent) header.flags |= net::flag_items_in;
    begin();
    auto room = room_for(*slot_, over_, header, block_.size(), for_lane(externals_), how_, clock_);
    if (room) {
      std::memcpy(room.body(), block_.data(), block_.size());
      room.commit();
      break;
    }
    if (judge(*to_, over_, *slot_, clock_, tally_, why_) == verdict::failed) return false;
  }
  under_way_ = true;
  for (const auto& item : sent_)
    if (!send_item(item)) return true;  // the call has ended: `next` finds out how
  if (items_ended_) over_.to->link().end_items(*slot_);
  return true;
}

void stream_call_core::on_event(net::pending& /*slot*/, net::message& what) noexcept {
  if (watching::tell(how_.watch, what) || what.header.kind != net::frame_kind::item) return;
  const std::lock_guard lock(mutex_);
  arrived_.push_back(std::move(what));
}

void stream_call_core::show(net::message& what) {
  current_ = std::move(what);
  current_externals_ = from_lane(current_.externals);
  current_view_ = {current_.body.bytes(), current_externals_};
}

bool stream_call_core::take_item() {
  net::message item;
  {
    const std::lock_guard lock(mutex_);
    if (arrived_.empty()) return false;
    item = std::move(arrived_.front());
    arrived_.pop_front();
  }
  show(item);
  started_ = true;
  sent_.clear();
  if (++read_since_grant_ >= grant_after && !slot_->done()) {
    over_.to->link().grant(*slot_, std::exchange(read_since_grant_, 0));
  }
  return true;
}

stream_call::turn stream_call_core::next(wish what) {
  for (;;) {
    if (!under_way_) return turn::failed;
    const auto seen = slot_->events_seen();
    if (take_item()) return turn::item;
    if (slot_->done()) {
      if (take_item()) return turn::item;
      const auto end = after_end();
      if (end != turn::room) return end;
      continue;
    }
    if (what == wish::sends && slot_->credit() > 0) return turn::room;
    auto& link = over_.to->link();
    link.wait_event(*slot_, seen, clock_.end);
    if (clock_.passed() && !slot_->done()) link.wait(*slot_, clock_.end, net::link::late::ask);
  }
}

/// The call has ended: its result, its failure, or (`room`) another try is under way.
stream_call::turn stream_call_core::after_end() {
  under_way_ = false;
  if (client::tells_its_end(*slot_)) await_end();
  if (slot_->how() == net::completion::answered
      && slot_->answer().header.kind == net::frame_kind::result) {
    show(slot_->answer());
    return turn::answered;
  }
  if (started_ && slot_->how() == net::completion::lost) {
    why_ = fail(kind::outcome_unknown, "stream_lost",
                to_->ref() + " was lost while its stream was read: " + slot_->error().message);
    return turn::failed;
  }
  if (judge(*to_, over_, *slot_, clock_, tally_, why_) == verdict::failed) return turn::failed;
  slot_ = std::make_unique<net::pending>(this);
  return try_send() ? turn::room : turn::failed;
}

bool stream_call_core::send_item(const kept_item& item) {
  error_info why;
  auto room = over_.to->link().begin_item(*slot_, item.block.size(), for_lane(item.externals),
                                          clock_.end, &why);
  if (!room) return false;
  std::memcpy(room.body(), item.block.data(), item.block.size());
  room.commit();
  return true;
}

void stream_call_core::send(bytes block, std::vector<external> externals) {
  kept_item item{std::move(block), std::move(externals)};
  send_item(item);
  // A callee grants more only when it runs; the first window is all that a call which did not start can lose.
  if (!started_ && sent_.size() < net::link::items_initial) {
    for (auto& one : item.externals) {
      if (one.owner) continue;
      one.owner = heap_memory(one.bytes);
      std::memcpy(one.owner->data(), one.data, one.bytes);
      one.data = one.owner->data();
    }
    sent_.push_back(std::move(item));
  }
}

void stream_call_core::end_items() {
  items_ended_ = true;
  if (under_way_ && !slot_->done()) over_.to->link().end_items(*slot_);
}

}  // namespace

stream_call::~stream_call() = default;

std::unique_ptr<stream_call> stream_call::make(callee_ref to,
                                               const call_settings& how,
                                               items from_caller) {
  return std::make_unique<stream_call_core>(std::move(to), how, from_caller);
}

stream_call::turn conversation::next() {
  for (;;) {
    const auto turn = call->next(sends ? stream_call::wish::sends : stream_call::wish::reads);
    if (turn != stream_call::turn::room) return turn;
    if (!sends->send_one(*call)) sends.reset();
  }
}

}  // namespace berth::detail
