#pragma once
// Link port: the control target of the node's socket. Requests of links go to the head's control actor, its answers
// come back as frames of the same call.

#include "actors/control_port.hpp"
#include "runtime/net/server.hpp"

#include <atomic>
#include <map>
#include <memory>
#include <mutex>

namespace berth::actors {

class head;

/// Both ends: handler of a server, port of the control actor. It must outlive both.
class link_port final : public control_port, public net::handler {
 public:
  /// From now on requests go to `to`; null: they are refused. Threads: any.
  void use(head* to);

  void reply(std::uint64_t connection, std::uint64_t call, const value& what) override;
  void fail(std::uint64_t connection, std::uint64_t call, const error_info& why) override;
  void push(std::uint64_t connection, std::uint64_t call, const value& what) override;
  void note(std::uint64_t connection, std::uint64_t call, std::string_view line) override;

  void on_open(net::served_link& from) override;
  void on_call(net::served_link& from, const net::message_view& what) override;
  void on_request(net::served_link& from, const net::message_view& what) override;
  void on_cancel(net::served_link& from, std::uint64_t call) override;
  void on_credit(net::served_link& from, std::uint64_t call, std::uint32_t n) override;
  void on_closed(net::served_link& from, const error_info& why) override;

 private:
  void send(std::uint64_t connection,
            std::uint64_t call,
            net::frame_kind kind,
            std::span<const std::byte> body);

  std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<net::served_link>> links_;
  std::mutex head_mutex_;
  head* head_ = nullptr;
};

}  // namespace berth::actors
