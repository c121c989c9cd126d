#pragma once
// Answer: where a running call puts its result, its items, its failure and its reports.
//
// It is the host's half of the module boundary: the thunk asks for room, gets it straight in the lane, and writes.
// Nothing is sent before `send`, so that the ledger says "finished" first.

#include "runtime/net/server.hpp"
#include "runtime/worker/binding.hpp"
#include "runtime/worker/running_call.hpp"

#include <berth/abi.hpp>
#include <berth/error.hpp>
#include <berth/value.hpp>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace berth::worker {

/// A resource on the stack of the executing thread; one call. Threads: that thread.
class answer final : public call_reports {
 public:
  /// `with` decides whether results are transcoded.
  /// `publish` says when results become visible: `batched` only on a thread that reads links.
  answer(net::served_link& to,
         std::uint64_t call,
         const binding& with,
         std::uint32_t version,
         net::reservation::when publish) noexcept
      : to_(to), call_(call), with_(with), version_(version), publish_(publish) {}

  answer(const answer&) = delete;
  answer& operator=(const answer&) = delete;

  /// What the thunk is given; its value is the call's result, or with `as_item` one item of its stream.
  [[nodiscard]] berth_sink sink(net::frame_kind as = net::frame_kind::result) noexcept;

  /// A failure of the host's own.
  void refuse(error_info why) { why_ = std::move(why); }

  [[nodiscard]] bool failed() const noexcept { return why_.has_value(); }

  /// The failure's kind as the counters take it; 0 for a result.
  [[nodiscard]] std::uint8_t outcome() const noexcept {
    return why_ ? static_cast<std::uint8_t>(why_->kind) : 0;
  }

  /// The stream is complete: `send` then sends a result without a body.
  void end_stream() noexcept { ended_ = true; }

  /// Sends what the sink took: one item, the result, or the failure.
  void send();

  void progress(double fraction, std::string_view message) noexcept override;
  void metric(std::string_view name, double value) noexcept override;

 private:
  static void* reserve(void* self, std::uint64_t size, std::uint32_t externals);
  static int attach(void* self, const berth_external* externals, std::uint32_t count);
  static void take_failure(void* self, const berth_failure* why);
  void* room_for(std::uint64_t size);
  void* room_aside(std::uint64_t size);
  int take_externals(const berth_external* externals, std::uint32_t count);
  void send_value();
  void send_failure();
  void send_transcoded();
  void send_block(const hot_block& block, std::uint8_t flags);
  void report(const net::report& what) noexcept;

  net::served_link& to_;
  const std::uint64_t call_;
  const binding& with_;
  const std::uint32_t version_;
  const net::reservation::when publish_;
  net::frame_kind kind_ = net::frame_kind::result;
  net::reservation room_;
  bool lost_ = false;   // the link is gone
  bool ended_ = false;  // the stream is complete
  std::optional<error_info> why_;
  // A block that cannot be written straight into the lane: it is transcoded first, or has externals.
  bool aside_used_ = false;
  std::vector<std::uint64_t> aside_;
  std::uint64_t aside_bytes_ = 0;
  std::vector<external> aside_externals_;
};

/// Sends one line of output to the caller, unless this thread is in the middle of writing a frame.
enum class output : std::uint8_t { out, err };
void send_line(net::served_link& to,
               std::uint64_t call,
               std::string_view text,
               output stream) noexcept;

/// A failure that crossed the module boundary, as an error; copies.
[[nodiscard]] error_info error_from(const berth_failure& why);

}  // namespace berth::worker
