#pragma once
// Caller's stream: items a caller sends, as the running function pulls them.

#include "runtime/net/server.hpp"
#include "runtime/worker/arguments.hpp"
#include "runtime/worker/item_flow.hpp"

#include <berth/abi.hpp>
#include <berth/error.hpp>
#include <berth/value.hpp>
#include <cstdint>
#include <optional>

namespace berth::worker {

/// A resource on the stack of the executing thread. Pulling waits; taking items welcomes more of them.
class caller_stream {
 public:
  /// `flow` may be null for a call without streams: then nothing may be pulled.
  caller_stream(net::served_link& from,
                std::uint64_t call,
                const binding& with,
                item_flow* flow) noexcept
      : from_(from), call_(call), with_(with), flow_(flow) {}

  caller_stream(const caller_stream&) = delete;
  caller_stream& operator=(const caller_stream&) = delete;

  /// The stream at the module's boundary.
  [[nodiscard]] berth_source source() noexcept { return {this, &caller_stream::pull}; }

 private:
  static int pull(void* self, berth_view* item, berth_failure* why);
  int pull_one(berth_view* item, berth_failure* why);
  int fails(error_info why, berth_failure* to);

  net::served_link& from_;
  const std::uint64_t call_;
  const binding& with_;
  item_flow* flow_;
  net::message current_;
  hot_block translated_;
  std::optional<view_of_body> view_;
  error_info why_;
};

}  // namespace berth::worker
