#pragma once
// Attempt: one try of a call at one replica, and what its end means for the call.
//
// The promises are kept here: at most one start, unless the function is idempotent; a call that did not start is tried
// elsewhere; a call whose start cannot be known is `outcome_unknown` and never silently repeated.

#include "runtime/client/callee.hpp"
#include "runtime/client/ended_events.hpp"
#include "runtime/net/link.hpp"

#include <berth/error.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace berth::detail {

/// Starts of an idempotent call without a deadline, and tries of any call that finds its replica gone.
inline constexpr std::uint32_t starts_max = 3;
inline constexpr std::uint32_t tries_max = 100;

/// What is left of a call's time. A value.
struct call_clock {
  base::time_point end = base::never;  ///< of the caller's wait

  [[nodiscard]] static call_clock starting(const call_settings& how) {
    return {how.within.count() == 0 ? base::never : base::after(how.within)};
  }

  [[nodiscard]] bool passed() const { return end != base::never && base::steady::now() >= end; }

  /// For a header: microseconds left, at least 1; 0 for no deadline.
  [[nodiscard]] std::uint32_t left_us() const;
  /// Until when a sender may wait for a place.
  [[nodiscard]] base::time_point patience(std::chrono::nanoseconds patience) const;
};

/// Starts and tries so far. A value.
struct call_tally {
  std::uint32_t starts = 0;
  std::uint32_t tries = 0;

  /// Nothing was tried before.
  [[nodiscard]] bool untouched() const noexcept { return starts == 0 && tries == 0; }
};

enum class verdict : std::uint8_t { answered, again, failed };

/// What the end of an attempt means; for `failed`, `why` says it. May ask the head, so it may block for a while.
verdict judge(callee& of,
              const client::way& sent,
              net::pending& slot,
              const call_clock& clock,
              call_tally& tally,
              std::optional<error_info>& why);

/// `timed_out`: not_started when no start can have happened, else unknown.
[[nodiscard]] error_info too_late(const std::string& ref, const call_tally& tally);

/// Why no replica could be had: `why`, or that the deadline passed meanwhile.
[[nodiscard]] error_info no_way(error_info why,
                                const std::string& ref,
                                const call_clock& clock,
                                const call_tally& tally);

/// The header of a call over `over`.
[[nodiscard]] net::frame_header header_for(const client::way& over, const call_clock& clock);

/// Asks for room for a call, first without waiting and then as long as the caller is patient. An empty reservation
/// means that `slot` is refused.
[[nodiscard]] net::reservation room_for(net::pending& slot,
                                        const client::way& over,
                                        const net::frame_header& header,
                                        std::size_t bytes,
                                        const std::vector<base::external>& externals,
                                        const call_settings& how,
                                        const call_clock& clock);

[[nodiscard]] std::vector<base::external> for_lane(const std::vector<external>& payloads);
[[nodiscard]] std::vector<external> from_lane(const std::vector<base::external>& received);

/// Hands a call's output and reports to its watcher, or prints the output.
class watching final : public client::ended_events {
 public:
  explicit watching(call_watcher* to) noexcept : to_(to) {}

  void on_event(net::pending& call, net::message& what) noexcept override;
  /// The same for other listeners; false when `what` is neither output nor a report.
  static bool tell(call_watcher* to, net::message& what) noexcept;

 private:
  call_watcher* to_;
};

}  // namespace berth::detail
