#pragma once
// here(): what a running function can know of the call it serves, and tell its caller meanwhile.

#include <berth/error.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace berth {
namespace detail {
struct running_call;  // runtime/worker
}

/// Who called, as the kernel says it, never as the caller claims.
struct caller_info {
  std::uint32_t uid = 0;
  std::int64_t pid = 0;
  std::string_view program;  ///< name of the calling process's executable
  std::string_view version;  ///< "name@7" when the caller is itself a worker; else empty
};

/// The call that this thread is running. A view, valid until that call ends.
class BERTH_API this_call {
 public:
  explicit this_call(const detail::running_call* call) noexcept;

  /// Who called.
  caller_info caller;

  /// True when the caller has gone, cancelled or passed its deadline. Long functions look at it between steps.
  /// Cost: one load; at most a few milliseconds late.
  [[nodiscard]] bool stop_requested() const noexcept;

  /// Time left until the caller's deadline (negative once it passed), or nothing when it set none.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> remaining() const noexcept;

  /// The version that runs: "digits/classify@7".
  [[nodiscard]] std::string_view version() const noexcept;

  /// The call's number on its link, as log lines carry it; 0 outside a call.
  [[nodiscard]] std::uint64_t id() const noexcept;

  /// Tells the caller how far the call has come (0 … 1). Never waits: who reads slowly sees fewer reports.
  void progress(double fraction, std::string_view message = {}) const;

  /// Reports a number under a name, as `progress` does.
  void metric(std::string_view name, double value) const;

  /// False when this thread runs no call (a program's own thread, or one that the function made).
  [[nodiscard]] bool running() const noexcept { return call_ != nullptr; }

 private:
  const detail::running_call* call_;
};

/// The call this thread runs. Outside a call: an empty caller, no deadline, never stopped, and reports go nowhere.
[[nodiscard]] BERTH_API this_call here() noexcept;

}  // namespace berth
