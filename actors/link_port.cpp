#include "actors/link_port.hpp"

#include "actors/head.hpp"
#include "runtime/client/control_message.hpp"
#include "runtime/net/call_messages.hpp"

#include <cstring>

namespace berth::actors {

void link_port::use(head* to) {
  std::lock_guard hold(head_mutex_);
  head_ = to;
}

void link_port::send(std::uint64_t connection,
                     std::uint64_t call,
                     net::frame_kind kind,
                     std::span<const std::byte> body) {
  std::shared_ptr<net::served_link> link;
  {
    std::lock_guard hold(mutex_);
    auto found = links_.find(connection);
    if (found == links_.end()) return;
    link = found->second;
  }
  auto room = link->begin(kind, call, body.size());
  if (!room) return;
  if (!body.empty()) std::memcpy(room.body(), body.data(), body.size());
  room.commit();
}

void link_port::reply(std::uint64_t connection, std::uint64_t call, const value& what) {
  send(connection, call, net::frame_kind::reply, client::encode_reply(what));
}

void link_port::fail(std::uint64_t connection, std::uint64_t call, const error_info& why) {
  send(connection, call, net::frame_kind::failure, net::encode_failure(why));
}

void link_port::push(std::uint64_t connection, std::uint64_t call, const value& what) {
  send(connection, call, net::frame_kind::item, client::encode_reply(what));
}

void link_port::note(std::uint64_t connection, std::uint64_t call, std::string_view line) {
  send(connection, call, net::frame_kind::log, std::as_bytes(std::span(line)));
}

void link_port::on_open(net::served_link& from) {
  std::lock_guard hold(mutex_);
  links_.emplace(from.id(), from.shared_from_this());
}

void link_port::on_call(net::served_link& from, const net::message_view& what) {
  fail(from.id(), what.header.call,
       berth::fail(kind::invalid, "no_calls_here",
                   "the head answers requests only; calls go to workers"));
}

void link_port::on_request(net::served_link& from, const net::message_view& what) {
  const auto& peer = from.peer();
  std::lock_guard hold(head_mutex_);
  if (head_ == nullptr)
    return fail(
        from.id(), what.header.call,
        berth::fail(kind::disconnected, "stopping", "the cluster is starting or being stopped"));
  head_->ask(from.id(), what.header.call, {peer.program, peer.pid, peer.uid}, what.body);
}

void link_port::on_cancel(net::served_link& from, std::uint64_t call) {
  std::lock_guard hold(head_mutex_);
  if (head_ != nullptr) head_->cancel(from.id(), call);
}

void link_port::on_credit(net::served_link& from, std::uint64_t call, std::uint32_t n) {
  std::lock_guard hold(head_mutex_);
  if (head_ != nullptr) head_->welcome(from.id(), call, n);
}

void link_port::on_closed(net::served_link& from, const error_info&) {
  {
    std::lock_guard hold(mutex_);
    links_.erase(from.id());
  }
  std::lock_guard hold(head_mutex_);
  if (head_ != nullptr) head_->gone(from.id());
}

}  // namespace berth::actors
