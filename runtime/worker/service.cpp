#include "runtime/worker/service.hpp"

#include "runtime/base/ensure.hpp"
#include "runtime/net/call_messages.hpp"
#include "runtime/process/crash_handler.hpp"
#include "runtime/worker/arguments.hpp"
#include "runtime/worker/caller_stream.hpp"

#include <algorithm>
#include <berth/value.hpp>
#include <bit>
#include <cstring>
#include <unistd.h>
#include <utility>

namespace berth::worker {
namespace {

// A function that ran longer than this is worth a hand-off to a thread of its own (a wake-up costs 20 to 50 us).
constexpr std::uint64_t hand_off_us = 100;

std::int64_t nanoseconds_of(base::time_point at) noexcept {
  return at == base::never ? 0 : std::chrono::nanoseconds(at.time_since_epoch()).count();
}

link_state& state_of(net::served_link& link) noexcept {
  return *static_cast<link_state*>(link.user.get());
}

/// The name of the executable behind a pid; empty when the kernel does not say.
std::string program_of(std::int64_t pid) {
  char path[4096];
  const auto link = "/proc/" + std::to_string(pid) + "/exe";
  const auto size = ::readlink(link.c_str(), path, sizeof path);
  if (pid <= 0 || size <= 0) return {};
  const std::string_view whole(path, static_cast<std::size_t>(size));
  return std::string(whole.substr(whole.rfind('/') + 1));
}

caller_facts facts_of(const net::peer_facts& peer) {
  caller_facts caller;
  caller.uid = static_cast<std::uint32_t>(peer.uid);
  caller.pid = peer.pid;
  caller.program = program_of(peer.pid);
  if (caller.program.empty()) caller.program = peer.program;
  if (peer.program.find('@') != std::string::npos) caller.version = peer.program;
  return caller;
}

std::string counted_as(const caller_facts& caller) {
  if (!caller.version.empty()) return caller.version;
  return caller.program + " uid " + std::to_string(caller.uid);
}

void send_failure(net::served_link& to,
                  std::uint64_t call,
                  const error_info& why,
                  std::uint8_t flags) {
  const auto body = net::encode_failure(why);
  auto room = to.begin(net::frame_kind::failure, call, body.size(), {}, flags);
  if (!room) return;
  std::memcpy(room.body(), body.data(), body.size());
  room.commit();
}

error_info too_late() {
  return fail(kind::timed_out, "not_started", "the deadline passed while the call waited its turn");
}

void send_moved(net::served_link& to, std::uint64_t call) {
  auto room = to.begin(net::frame_kind::moved, call, 0);
  if (room) room.commit();
}

net::message kept(const net::message_view& view) {
  net::message message;
  message.header = view.header;
  if (!view.body.empty())
    std::memcpy(message.body.reset(view.body.size()), view.body.data(), view.body.size());
  message.externals.assign(view.externals.begin(), view.externals.end());
  return message;
}

}  // namespace

void service::place::take_in(std::uint64_t link_id,
                             std::uint64_t call_id,
                             base::time_point until) noexcept {
  call.store(call_id, std::memory_order_relaxed);
  deadline.store(nanoseconds_of(until), std::memory_order_relaxed);
  number = stop.next();
  link.store(link_id, std::memory_order_release);
}

service::service(const replica& serves, process::page_writer& page)
    : serves_(serves), label_(serves.label()), page_(page), slow_(serves.methods.size()) {
  base::ensure(serves.concurrency >= 1 && serves.concurrency <= 64 * free_places_.size()
                   && serves.concurrency <= page.size().threads,
               "a worker page has a thread for each call that may run at once");
  for (std::uint32_t i = 0; i < serves.concurrency; ++i) {
    places_.push_back(std::make_unique<place>());
    places_.back()->index = i;
    free_places_[i / 64].fetch_or(std::uint64_t{1} << (i % 64));
  }
}

service::~service() {
  stop();
}

// ---- links and bindings

void service::on_open(net::served_link& from) {
  auto state = std::make_shared<link_state>();
  state->caller = facts_of(from.peer());
  const auto slot = page_.open_link(from.id());
  if (!slot) return from.close(slot.error());
  state->ledger = *slot;
  from.user = std::move(state);
  const auto open = links_open_.fetch_add(1) + 1;
  if (tell_links_) tell_links_(open);
  const std::lock_guard lock(mutex_);
  links_.emplace(from.id(), from.shared_from_this());
}

void service::on_request(net::served_link& from, const net::message_view& what) {
  if (!from.user) return;
  const auto asked = net::decode_bind_request(what.body);
  if (!asked) return send_failure(from, what.header.call, asked.error(), net::flag_not_started);
  auto made = agree(serves_, *asked);
  if (!made) return send_failure(from, what.header.call, made.error(), net::flag_not_started);
  auto& state = state_of(from);
  made->counter = page_.counter(counted_as(state.caller), asked->ref);
  net::bind_reply reply;
  reply.link = from.id();
  reply.version = serves_.version;
  reply.signature = encode(made->what->shown());
  reply.idempotent = made->what->idempotent();
  const auto number = state.bindings.add(*std::move(made));
  if (!number)
    return send_failure(from, what.header.call,
                        fail(kind::overloaded, "too_many_bindings", "this link has 65536 bindings"),
                        net::flag_not_started);
  reply.binding = *number;
  const auto body = net::encode(reply);
  auto room = from.begin(net::frame_kind::reply, what.header.call, body.size());
  if (!room) return;
  std::memcpy(room.body(), body.data(), body.size());
  room.commit();
}

void service::on_closed(net::served_link& from, const error_info& /*why*/) {
  if (!from.user) return;
  for (const auto& at : places_)
    if (at->link.load() == from.id()) stop_call(from.id(), at->call.load());
  state_of(from).stop_flows();
  {
    const std::lock_guard lock(mutex_);
    links_.erase(from.id());
    const auto before = queue_.size();
    std::erase_if(queue_, [&](const waiting& one) { return one.from.get() == &from; });
    waiting_count_.fetch_sub(static_cast<std::uint32_t>(before - queue_.size()));
  }
  page_.close_link(state_of(from).ledger);
  const auto open = links_open_.fetch_sub(1) - 1;
  if (tell_links_) tell_links_(open);
}

// ---- who runs where

service::place* service::take_place() noexcept {
  for (std::size_t word = 0; word * 64 < places_.size(); ++word) {
    auto free = free_places_[word].load(std::memory_order_relaxed);
    while (free != 0) {
      const auto bit = free & (~free + 1);
      if (free_places_[word].compare_exchange_weak(free, free & ~bit))
        return places_[word * 64 + static_cast<std::size_t>(std::countr_zero(bit))].get();
    }
  }
  return nullptr;
}

void service::give_back(place* one) noexcept {
  one->link.store(0, std::memory_order_relaxed);
  free_places_[one->index / 64].fetch_or(std::uint64_t{1} << (one->index % 64));
  if (waiting_count_.load() > 0) {
    const std::lock_guard lock(mutex_);
    work_.notify_one();
  } else if (somebody_awaits_idle_.load()) {
    const std::lock_guard lock(mutex_);
    idle_.notify_all();
  }
}

std::uint32_t service::places_taken() const noexcept {
  auto taken = static_cast<std::uint32_t>(places_.size());
  for (const auto& word : free_places_)
    taken -= static_cast<std::uint32_t>(std::popcount(word.load()));
  return taken;
}

bool service::runs_inline(const method& what) const noexcept {
  if (what.streams() || what.source_count() != 0
      || waiting_count_.load(std::memory_order_relaxed) > 0)
    return false;
  if (places_.size() == 1) return true;
  // A second long call on the reading threads would leave nobody to read: it gets a thread of its own.
  const auto index = static_cast<std::size_t>(&what - serves_.methods.data());
  return !slow_[index].load(std::memory_order_relaxed) && places_taken() == 0;
}

void service::on_call(net::served_link& from, const net::message_view& what) {
  if (!from.user) return;
  auto& state = state_of(from);
  const binding* agreed = state.bindings.find(what.header.binding);
  if (agreed == nullptr)
    return send_failure(from, what.header.call,
                        fail(kind::invalid, "no_such_binding",
                             "the call names a binding that was not agreed on this link"),
                        net::flag_not_started);
  const binding& with = *agreed;
  if (what.header.deadline_us == net::deadline_passed_us) [[unlikely]]
    return send_failure(from, what.header.call, too_late(), net::flag_not_started);
  const bool brings_items = (what.header.flags & net::flag_items_in) != 0;
  place* at = !brings_items && runs_inline(*with.what) ? take_place() : nullptr;
  if (at == nullptr) return enqueue(from, with, what);
  const view_of_body arguments(what.body, what.externals);
  const auto deadline = what.header.deadline_us == 0
                            ? base::never
                            : base::after(std::chrono::microseconds(what.header.deadline_us));
  at->take_in(from.id(), what.header.call, deadline);
  run(*at, {from, state, with, what.header, arguments.view(), deadline, nullptr,
            net::reservation::when::batched});
  give_back(at);
}

void service::enqueue(net::served_link& from, const binding& with, const net::message_view& what) {
  waiting call;
  call.from = from.shared_from_this();
  call.state = std::static_pointer_cast<link_state>(from.user);
  call.with = &with;
  call.what = kept(what);
  if (what.header.deadline_us != 0)
    call.deadline = base::after(std::chrono::microseconds(what.header.deadline_us));
  if (with.what->streams() || with.what->source_count() != 0) {
    call.flow = std::make_shared<item_flow>(net::link::items_initial);
    const std::lock_guard lock(call.state->mutex);
    call.state->flows.emplace(what.header.call, call.flow);
  }
  const std::lock_guard lock(mutex_);
  queue_.push_back(std::move(call));
  waiting_count_.fetch_add(1);
  if (threads_.size() < places_.size() && !stopping_) threads_.emplace_back([this] { execute(); });
  work_.notify_one();
}

bool service::next(waiting& call, place*& at) {
  if (queue_.empty()) return false;
  at = take_place();
  if (at == nullptr) return false;
  call = std::move(queue_.front());
  queue_.pop_front();
  waiting_count_.fetch_sub(1);
  at->take_in(call.from->id(), call.what.header.call, call.deadline);  // before the lock goes
  return true;
}

void service::run_waiting(place& at, waiting& call) {
  const auto id = call.what.header.call;
  if (call.deadline != base::never && base::steady::now() >= call.deadline) {
    send_failure(*call.from, id, too_late(), net::flag_not_started);
  } else {
    const view_of_body arguments(call.what.body.bytes(), call.what.externals);
    run(at, {*call.from, *call.state, *call.with, call.what.header, arguments.view(), call.deadline,
             call.flow.get(), net::reservation::when::now});
  }
  if (call.flow) {
    const std::lock_guard lock(call.state->mutex);
    call.state->flows.erase(id);
  }
  give_back(&at);
}

void service::execute() {
  for (;;) {
    waiting call;
    place* at = nullptr;
    {
      std::unique_lock lock(mutex_);
      work_.wait(lock, [&] { return stopping_ || next(call, at); });
      if (at == nullptr) return;
    }
    run_waiting(*at, call);
  }
}

void service::run_queued() {
  for (;;) {
    waiting call;
    place* at = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (!next(call, at)) return;
    }
    run_waiting(*at, call);
  }
}

// ---- one call

void service::run(place& at, const start& call) {
  thread_local const process::crash_stack stack;  // a stack overflow of user code is told too
  const bool pinned = (call.header.flags & net::flag_pinned) != 0;
  process::call_mark mark;
  mark.link = call.state.ledger;
  mark.counter = call.with.counter;
  mark.call = call.header.call;
  mark.tag = pinned ? process::pinned_slot : call.with.tag_slot;
  mark.revision = pinned ? process::pinned_revision : call.header.revision;
  if (!page_.begin(at.index, mark)) return send_moved(call.from, call.header.call);
  answer to(call.from, call.header.call, call.with, serves_.version, call.publish);
  const detail::running_call now{
      &call.state.caller, label_, call.header.call, call.deadline, &at.stop, at.number, &to};
  detail::set_running(&now);
  auto* capture = capture_.load(std::memory_order_relaxed);
  if (capture != nullptr) process::log_capture::enter({call.from.id(), call.header.call});
  run_started(call, to);
  if (capture != nullptr) capture->leave();
  detail::set_running(nullptr);
  page_.end(at.index, to.outcome());
  to.send();
}

void service::run_started(const start& call, answer& to) {
  const auto begun = places_.size() == 1 ? 0 : base::ticks();
  if (call.with.as == binding::form::same) {
    run_body(call, to, call.arguments);
  } else {
    const auto given = arguments_for(call.with, call.arguments);
    if (!given) return to.refuse(given.error());
    const view_of_body arguments(*given);
    run_body(call, to, arguments.view());
  }
  if (places_.size() == 1) return;
  const auto index = static_cast<std::size_t>(call.with.what - serves_.methods.data());
  const bool slow = base::ticks() - begun > hand_off_us * base::ticks_per_us();
  slow_[index].store(slow, std::memory_order_relaxed);
}

void service::run_body(const start& call, answer& to, const berth_view& arguments) {
  berth_call given{&arguments, nullptr, 0, 0};
  if (call.with.what->source_count() == 0) return run_code(call, to, given);
  caller_stream items(call.from, call.header.call, call.with, call.flow);
  const auto source = items.source();
  given.sources = &source;
  given.source_count = 1;
  run_code(call, to, given);
}

void service::run_code(const start& call, answer& to, const berth_call& given) {
  if (call.with.what->streams())
    run_stream(call, to, given);
  else
    run_function(call, to, given);
}

void service::run_function(const start& call, answer& to, const berth_call& given) {
  const auto sink = to.sink();
  call.with.what->invoke(given, sink);
}

void service::run_stream(const start& call, answer& to, const berth_call& given) {
  const method& code = *call.with.what;
  const auto sink = to.sink(net::frame_kind::item);
  void* generator = code.open(given, sink);
  if (generator == nullptr) return;
  int outcome = berth_done;
  while (outcome == berth_done) {
    if (!call.flow->take_credit()) {
      to.refuse(
          fail(kind::cancelled, "stopped", "the stream's reader has gone or its deadline passed"));
      break;
    }
    outcome = code.next(generator, sink);
    if (outcome == berth_done) to.send();
  }
  code.close(generator);
  if (outcome == berth_ended) to.end_stream();
}

// ---- what stops a call

bool service::stop_call(std::uint64_t link, std::uint64_t call) noexcept {
  for (const auto& at : places_) {
    const auto has_it = [&] {
      return at->link.load(std::memory_order_acquire) == link
             && at->call.load(std::memory_order_acquire) == call;
    };
    if (!has_it()) continue;
    const auto number = at->stop.running();
    if (!has_it()) return false;  // it has just ended; the number may be the next call's
    at->stop.stop(number);
    return true;
  }
  return false;
}

void service::on_cancel(net::served_link& from, std::uint64_t call) {
  if (!from.user) return;
  if (const auto flow = state_of(from).flow_of(call)) flow->stop();
  std::deque<waiting> taken;
  bool runs = false;
  {
    const std::lock_guard lock(mutex_);
    const auto at = std::find_if(queue_.begin(), queue_.end(), [&](const waiting& one) {
      return one.from.get() == &from && one.what.header.call == call;
    });
    if (at == queue_.end()) {
      runs = stop_call(from.id(), call);
    } else {
      taken.push_back(std::move(*at));
      queue_.erase(at);
      waiting_count_.fetch_sub(1);
    }
  }
  if (runs) from.grant(call, 0);  // heard, and it had started
  if (taken.empty()) return;
  send_failure(from, call, fail(kind::cancelled, "cancelled", "cancelled before it started"),
               net::flag_not_started);
}

void service::on_item(net::served_link& from, const net::message_view& what) {
  if (!from.user) return;
  const auto flow = state_of(from).flow_of(what.header.call);
  if (flow && !flow->put(kept(what)))
    from.close(fail(kind::invalid, "too_many_items",
                    "the peer sent more stream items than it was granted"));
}

void service::on_end(net::served_link& from, std::uint64_t call) {
  if (!from.user) return;
  if (const auto flow = state_of(from).flow_of(call)) flow->end();
}

void service::on_credit(net::served_link& from, std::uint64_t call, std::uint32_t n) {
  if (!from.user) return;
  if (const auto flow = state_of(from).flow_of(call)) flow->grant(n);
}

void service::on_tick() {
  const auto now = base::steady::now();
  page_.beat(now.time_since_epoch());
  for (const auto& at : places_) {
    const auto number = at->stop.running();
    const auto deadline = at->deadline.load(std::memory_order_relaxed);
    const auto link = at->link.load(std::memory_order_relaxed);
    if (link == 0 || deadline == 0 || nanoseconds_of(now) < deadline) continue;
    if (at->stop.running() == number) at->stop.stop(number);
    stop_flow(link, at->call.load(std::memory_order_relaxed));
  }
  if (waiting_count_.load() > 0) expire_waiting(now);
  auto* capture = capture_.load(std::memory_order_relaxed);
  if (capture != nullptr && places_.size() == 1 && places_[0]->link.load() != 0)
    capture->observe({places_[0]->link.load(), places_[0]->call.load()});
}

void service::stop_flow(std::uint64_t link, std::uint64_t call) {
  std::shared_ptr<net::served_link> from;
  {
    const std::lock_guard lock(mutex_);
    const auto at = links_.find(link);
    if (at == links_.end()) return;
    from = at->second;
  }
  if (const auto flow = state_of(*from).flow_of(call)) flow->stop();
}

void service::expire_waiting(base::time_point now) {
  std::deque<waiting> expired;
  {
    const std::lock_guard lock(mutex_);
    for (auto at = queue_.begin(); at != queue_.end();) {
      if (at->deadline > now) {
        ++at;
        continue;
      }
      expired.push_back(std::move(*at));
      at = queue_.erase(at);
      waiting_count_.fetch_sub(1);
    }
  }
  for (const auto& one : expired)
    send_failure(*one.from, one.what.header.call, too_late(), net::flag_not_started);
}

// ---- output, the end

process::log_hook service::log_hook() {
  return [this](process::log_stream stream, process::call_tag tag, std::string_view text,
                bool /*open*/) {
    std::shared_ptr<net::served_link> to;
    {
      const std::lock_guard lock(mutex_);
      const auto at = links_.find(tag.link);
      if (at == links_.end()) return;
      to = at->second;
    }
    send_line(*to, tag.call, text, stream == process::log_stream::err ? output::err : output::out);
  };
}

std::uint32_t service::busy() const noexcept {
  return places_taken() + waiting_count_.load();
}

bool service::wait_idle(base::time_point end) {
  somebody_awaits_idle_.store(true);
  std::unique_lock lock(mutex_);
  const auto idle = [&] { return busy() == 0; };
  if (end == base::never) {
    idle_.wait(lock, idle);
    return true;
  }
  return idle_.wait_until(lock, end, idle);
}

void service::stop() {
  std::vector<std::thread> ending;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    ending.swap(threads_);
    work_.notify_all();
  }
  for (auto& one : ending)
    one.join();
}

}  // namespace berth::worker
