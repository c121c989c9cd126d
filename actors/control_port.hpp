#pragma once
// Control port: how the control actor answers connections, whatever carries them; and what else it needs of the head.

#include "runtime/client/verbs.hpp"
#include "runtime/store/blob_store.hpp"

#include <berth/error.hpp>
#include <berth/value.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string_view>

namespace berth::actors {

/// Answers of the requests of connections. Threads: any; never blocks. Answers to a connection that is gone are dropped.
class control_port {
 public:
  virtual ~control_port() = default;
  /// Final.
  virtual void reply(std::uint64_t connection, std::uint64_t call, const value& what) = 0;
  /// Final.
  virtual void fail(std::uint64_t connection, std::uint64_t call, const error_info& why) = 0;
  /// One item of a request that follows.
  virtual void push(std::uint64_t connection, std::uint64_t call, const value& what) = 0;
  /// A line about progress, for people.
  virtual void note(std::uint64_t connection, std::uint64_t call, std::string_view line) = 0;
};

struct head_services {
  store::blob_store* blobs = nullptr;
  /// What `status` says of this head and never changes; counts and times are filled in.
  client::verbs::cluster_status facts;
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
  /// Asks for the end of the cluster.
  std::function<void(std::chrono::milliseconds)> shut_down;
};

/// Items a follower welcomes before it says more; what the link grants a call at first.
inline constexpr std::uint32_t items_welcome_first = 64;

}  // namespace berth::actors
