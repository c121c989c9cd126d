#pragma once
// A calling end and a serving end in one process, and a handler whose behaviour a test writes down.

#include "runtime/net/endpoint.hpp"
#include "runtime/net/link.hpp"
#include "runtime/net/server.hpp"

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <mutex>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <vector>

namespace berth::net::testing {

using namespace std::chrono_literals;

inline base::time_point in(std::chrono::milliseconds span) {
  return base::after(span);
}

/// Looks again and again until `holds()`, for what has no event; false after ten seconds.
inline bool soon(const std::function<bool()>& holds) {
  const auto limit = in(10s);
  while (!holds()) {
    if (base::steady::now() > limit) return false;
    std::this_thread::yield();
  }
  return true;
}

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline void answer(served_link& to,
                   std::uint64_t call,
                   std::span<const std::byte> bytes,
                   frame_kind kind = frame_kind::result) {
  auto open = to.begin(kind, call, bytes.size());
  if (!open) return;
  if (!bytes.empty()) std::memcpy(open.body(), bytes.data(), bytes.size());
  open.commit();
}

/// Echoes calls and requests unless a test says otherwise; notes what it saw.
class scripted_handler : public handler {
 public:
  std::function<void(served_link&, message_view)> call = [](served_link& from, message_view what) {
    auto open = from.begin(frame_kind::result, what.header.call, what.body.size(), what.externals);
    if (!open) return;
    if (!what.body.empty()) std::memcpy(open.body(), what.body.data(), what.body.size());
    open.commit(reservation::when::batched);
  };
  std::function<void(served_link&, message_view)> item = [](served_link&, message_view) {};
  std::function<void(served_link&, std::uint64_t)> end = [](served_link&, std::uint64_t) {};
  std::function<void(served_link&, std::uint64_t, std::uint32_t)> credit =
      [](served_link&, std::uint64_t, std::uint32_t) {};
  std::function<void(served_link&, std::uint64_t)> cancel = [](served_link&, std::uint64_t) {};
  std::function<void()> queued = [] {};

  void on_call(served_link& from, const message_view& what) override { call(from, what); }

  void on_request(served_link& from, const message_view& what) override {
    auto open = from.begin(frame_kind::reply, what.header.call, what.body.size());
    if (!open) return;
    if (!what.body.empty()) std::memcpy(open.body(), what.body.data(), what.body.size());
    open.commit();
  }

  void on_cancel(served_link& from, std::uint64_t id) override {
    note([&] { cancelled.push_back(id); });
    cancel(from, id);
  }

  void on_item(served_link& from, const message_view& what) override { item(from, what); }

  void on_end(served_link& from, std::uint64_t id) override { end(from, id); }

  void on_credit(served_link& from, std::uint64_t id, std::uint32_t n) override {
    credit(from, id, n);
  }

  void on_open(served_link&) override {
    note([&] { ++opened; });
  }

  void on_closed(served_link&, const error_info& why) override {
    note([&] { closed.push_back(why); });
  }

  void run_queued() override { queued(); }

  /// Waits until `holds()` about what was noted; false after `limit`.
  bool await(const std::function<bool()>& holds, std::chrono::milliseconds limit = 10s) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, limit, holds);
  }

  void note(const std::function<void()>& act) {
    const std::lock_guard lock(mutex);
    act();
    changed.notify_all();
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::uint64_t> cancelled;
  std::vector<error_info> closed;
  int opened = 0;
};

enum class over : std::uint8_t { ring, unix_socket, tcp };

inline std::string name(over lane) {
  return lane == over::ring ? "ring" : lane == over::unix_socket ? "unix" : "tcp";
}

struct socket_pair {
  base::unique_fd caller;
  base::unique_fd server;
};

/// Two connected sockets of the lane's family.
socket_pair make_sockets(over lane);

/// A server with one link to it.
class pair {
 public:
  explicit pair(over lane = over::ring,
                std::function<void(server::options&)> tune_server = {},
                std::function<void(connect_options&)> tune_caller = {});
  /// One more link to the same server.
  std::unique_ptr<net::link> another(over lane);

  scripted_handler does;
  std::unique_ptr<net::driver> drives;
  std::unique_ptr<net::server> serves;
  std::unique_ptr<net::link> link;

 private:
  std::function<void(connect_options&)> tune_caller_;
};

/// Calls with `body` and returns the answer's bytes; fails the test when there is none within ten seconds.
std::string call(net::link& link, std::string_view body);

}  // namespace berth::net::testing
