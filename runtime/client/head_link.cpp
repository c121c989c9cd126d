#include "runtime/client/head_link.hpp"

#include "runtime/base/clock.hpp"
#include "runtime/client/callbacks.hpp"
#include "runtime/client/control_message.hpp"
#include "runtime/client/ended_events.hpp"
#include "runtime/net/call_messages.hpp"

#include <cstring>
#include <deque>
#include <utility>

namespace berth::client {
namespace {

/// What arrives for one request, kept until somebody looks at it.
class inbox : public ended_events {
 public:
  void on_event(net::pending& /*call*/, net::message& what) noexcept override {
    const std::lock_guard lock(mutex_);
    arrived_.push_back(std::move(what));
  }

  bool take(net::message& to) {
    const std::lock_guard lock(mutex_);
    if (arrived_.empty()) return false;
    to = std::move(arrived_.front());
    arrived_.pop_front();
    return true;
  }

 protected:
  std::mutex mutex_;
  std::deque<net::message> arrived_;
};

error_info end_of(net::pending& slot) {
  if (slot.how() != net::completion::answered) return slot.error();
  if (slot.answer().header.kind == net::frame_kind::failure)
    return net::decode_failure(slot.answer().body.bytes());
  return fail(kind::cancelled, "ended", "the head ended the request");
}

result<void> send(net::link& over,
                  net::pending& slot,
                  std::string_view verb,
                  const value& args,
                  base::time_point end) {
  const auto body = encode(control_request{std::string(verb), args});
  net::frame_header header;
  header.kind = net::frame_kind::request;
  auto room = over.begin(slot, header, body.size(), {}, end);
  if (!room) return slot.error();
  std::memcpy(room.body(), body.data(), body.size());
  room.commit();
  return {};
}

base::time_point end_after(std::chrono::milliseconds wait) {
  return wait == std::chrono::milliseconds::max() ? base::never : base::after(wait);
}

/// A request that stays open. What arrives is handed on by one callback at a time.
class open_request final : public head_link::subscription,
                           public inbox,
                           public std::enable_shared_from_this<open_request> {
 public:
  open_request(std::shared_ptr<net::driver> drives,
               std::shared_ptr<net::link> over,
               std::function<void(const value&)> each,
               std::function<void(const error_info&)> lost)
      : drives_(std::move(drives)),
        over_(std::move(over)),
        each_(std::move(each)),
        lost_(std::move(lost)),
        slot_(this) {}

  result<void> start(std::string_view verb, const value& args) {
    self_ = shared_from_this();  // the slot is under way: it must not move or end
    auto sent = send(*over_, slot_, verb, args, base::after(std::chrono::seconds(5)));
    if (!sent) self_.reset();
    return sent;
  }

  /// The subscription was dropped.
  void drop() {
    {
      const std::lock_guard lock(handing_on_);
      dropped_ = true;
    }
    over_->abandon(slot_);
    if (slot_.how() == net::completion::abandoned) self_.reset();
  }

 private:
  void on_event(net::pending& call, net::message& what) noexcept override {
    inbox::on_event(call, what);
    hand_on_soon();
  }

  void on_done(net::pending& /*call*/) noexcept override {
    ended_.store(true);
    hand_on_soon();
  }

  void hand_on_soon() {
    callbacks::of_process().post(
        [](void* argument) {
          const std::unique_ptr<std::shared_ptr<open_request>> self(
              static_cast<std::shared_ptr<open_request>*>(argument));
          (*self)->hand_on();
        },
        new std::shared_ptr<open_request>(shared_from_this()));
  }

  void hand_on() {
    const std::lock_guard lock(handing_on_);
    const bool ended = ended_.load();
    net::message what;
    while (take(what)) {
      if (dropped_ || what.header.kind != net::frame_kind::item) continue;
      if (const auto pushed = decode_reply(what.body.bytes())) each_(*pushed);
    }
    if (!ended || !self_) return;
    if (!dropped_) lost_(end_of(slot_));
    self_.reset();
  }

  const std::shared_ptr<net::driver> drives_;
  const std::shared_ptr<net::link> over_;
  const std::function<void(const value&)> each_;
  const std::function<void(const error_info&)> lost_;
  net::pending slot_;
  std::atomic<bool> ended_{false};
  std::recursive_mutex handing_on_;
  bool dropped_ = false;
  std::shared_ptr<open_request> self_;
};

/// What its owner holds.
class held_request final : public head_link::subscription {
 public:
  explicit held_request(std::shared_ptr<open_request> what) : what_(std::move(what)) {}

  ~held_request() override { what_->drop(); }

 private:
  std::shared_ptr<open_request> what_;
};

}  // namespace

head_link::head_link(net::address where, std::string program, std::shared_ptr<net::driver> drives)
    : where_(std::move(where)), program_(std::move(program)), driver_(std::move(drives)) {}

head_link::~head_link() {
  close();
}

void head_link::close() {
  std::shared_ptr<net::link> ending;
  {
    const std::lock_guard lock(mutex_);
    ending = std::move(link_);
  }
  if (ending) ending->close();
}

result<std::shared_ptr<net::link>> head_link::opened() {
  const std::lock_guard lock(mutex_);
  if (link_ && !link_->closed()) return link_;
  net::connect_options how;
  how.program = program_;
  how.calling.drives = driver_.get();
  auto made = net::connect(where_, net::target::control(), how);
  if (!made)
    return std::move(made).error().at("while connecting to the cluster at "
                                      + net::to_string(where_));
  link_ = *std::move(made);
  return link_;
}

result<value> head_link::request(std::string_view verb,
                                 const value& args,
                                 std::chrono::milliseconds wait,
                                 const on_push& each,
                                 const std::function<void(std::string_view)>& line) {
  auto over = opened();
  if (!over) return std::move(over).error();
  const auto end = end_after(wait);
  inbox arrives;
  net::pending slot(&arrives);
  if (auto sent = send(**over, slot, verb, args, end); !sent) return std::move(sent).error();
  for (;;) {
    const auto seen = slot.events_seen();
    const bool ended = slot.done();
    net::message what;
    while (arrives.take(what)) {
      const auto body = what.body.bytes();
      if (what.header.kind == net::frame_kind::log && line)
        line({reinterpret_cast<const char*>(body.data()), body.size()});
      if (what.header.kind != net::frame_kind::item || !each) continue;
      const auto pushed = decode_reply(body);
      if (pushed && each(*pushed)) continue;
      let_go(**over, slot, arrives);
      if (pushed) return value();
      return pushed.error();
    }
    if (ended) break;
    if (end != base::never && base::steady::now() >= end)
      (*over)->wait(slot, end);  // completes it as timed out, unless the answer is there
    else
      (*over)->wait_event(slot, seen, end);
  }
  if (tells_its_end(slot)) arrives.await_end();
  if (slot.how() == net::completion::answered
      && slot.answer().header.kind == net::frame_kind::reply)
    return decode_reply(slot.answer().body.bytes());
  return end_of(slot);
}

result<std::unique_ptr<head_link::subscription>> head_link::follow(
    std::string_view verb,
    const value& args,
    std::function<void(const value&)> each,
    std::function<void(const error_info&)> lost) {
  auto over = opened();
  if (!over) return std::move(over).error();
  auto made =
      std::make_shared<open_request>(driver_, *std::move(over), std::move(each), std::move(lost));
  if (auto sent = made->start(verb, args); !sent) return std::move(sent).error();
  return std::unique_ptr<subscription>(std::make_unique<held_request>(std::move(made)));
}

}  // namespace berth::client
