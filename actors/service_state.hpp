#pragma once
// Service, the state machine: how many replicas one version has, and why.
//
// A version lives while a tag points to it, while somebody follows it pinned, or for a while after somebody asked for
// it. Otherwise its replicas drain: they finish what runs and end. A replica that dies is replaced, within a budget: a
// version that keeps dying waits longer each time and then stops until it is asked for again.
//
//   starting → ready → draining → ended
//
// Pure: events in, effects out. Times are the owner's steady clock.

#include <berth/error.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace berth::actors {

using clock = std::chrono::steady_clock;

struct service_limits {
  /// Deaths and failed starts within `restart_window` before the service gives up.
  std::uint32_t restarts_max = 5;
  std::chrono::milliseconds restart_window{60000};
  /// Wait before the first replacement; doubles with each further death in the window.
  std::chrono::milliseconds backoff_first{20};
  std::chrono::milliseconds backoff_max{5000};
  /// How long a version nobody holds goes on living after it was asked for.
  std::chrono::milliseconds linger{30000};
  /// What running calls get to finish before a draining replica is killed.
  std::chrono::milliseconds drain{30000};
};

enum class replica_phase : std::uint8_t { starting, ready, draining };
[[nodiscard]] std::string_view to_string(replica_phase phase);

struct replica {
  replica_phase phase = replica_phase::starting;
  std::int64_t pid = 0;
  double load_ms = 0;
  double health_ms = 0;
  friend bool operator==(const replica&, const replica&) = default;
};

// Effects.

/// Start one more replica; answer with `placed` or `not_placed` and the same ticket.
struct start_one {
  std::uint64_t ticket = 0;
};

/// Let this replica finish and end.
struct drain_one {
  std::uint64_t replica = 0;
  std::chrono::milliseconds patience{0};
};

/// The set of ready replicas changed.
struct replicas_changed {};

/// Who waited hears that the service is ready, or why not.
struct answer_waiter {
  std::uint64_t waiter = 0;
  std::optional<error_info> why;
};

/// Call `tick` at this time.
struct wake_at {
  clock::time_point when;
};

using service_effect = std::variant<start_one, drain_one, replicas_changed, answer_waiter, wake_at>;
using service_effects = std::vector<service_effect>;

/// Why a version should live.
struct service_claims {
  bool tagged = false;
  std::uint32_t followers = 0;  ///< pinned ones
  std::uint32_t replicas = 1;   ///< wanted while it lives
  friend bool operator==(const service_claims&, const service_claims&) = default;
};

class service_state {
 public:
  /// `title` names the version in errors ("digits/classify@7").
  service_state(std::string title, service_limits limits);

  service_effects claim(const service_claims& claims, clock::time_point now);
  /// Somebody needs `need` ready replicas until `deadline` (0: as many as are wanted).
  service_effects await(std::uint64_t waiter,
                        std::uint32_t need,
                        clock::time_point deadline,
                        clock::time_point now);
  service_effects forget_waiter(std::uint64_t waiter);

  service_effects placed(std::uint64_t ticket, std::uint64_t replica, clock::time_point now);
  service_effects not_placed(std::uint64_t ticket, const error_info& why, clock::time_point now);
  service_effects started(std::uint64_t replica, std::int64_t pid, clock::time_point now);
  service_effects ready(std::uint64_t replica,
                        double load_ms,
                        double health_ms,
                        clock::time_point now);
  /// The worker says it cannot serve this version; its end follows.
  service_effects unfit(std::uint64_t replica, const error_info& why, clock::time_point now);
  /// The replica's process is gone. `why`: how, for people.
  service_effects ended(std::uint64_t replica, const error_info& why, clock::time_point now);
  service_effects tick(clock::time_point now);

  /// Replaces all replicas one by one: a new one becomes ready, then an old one drains. Waiter hears when all are new.
  service_effects restart(std::uint64_t waiter, clock::time_point deadline, clock::time_point now);

  [[nodiscard]] const std::map<std::uint64_t, replica>& replicas() const { return replicas_; }

  [[nodiscard]] std::uint32_t ready_count() const;
  /// Nothing lives and nothing is wanted.
  [[nodiscard]] bool idle(clock::time_point now) const;

  [[nodiscard]] const std::optional<error_info>& last_failure() const { return last_failure_; }

 private:
  struct waiter {
    std::uint32_t need = 0;
    clock::time_point deadline;
    bool restart = false;
  };

  [[nodiscard]] std::uint32_t wanted(clock::time_point now) const;
  [[nodiscard]] std::uint32_t count(replica_phase phase) const;
  [[nodiscard]] std::uint32_t outdated() const;
  void failed(const error_info& why, clock::time_point now);
  void reconcile(service_effects& out, clock::time_point now);
  void shed(service_effects& out, clock::time_point now);
  void replace_outdated(service_effects& out, clock::time_point now);
  void answer_waiters(service_effects& out, clock::time_point now);
  void arm(service_effects& out, clock::time_point now);
  void drain(service_effects& out, std::uint64_t which);

  std::string title_;
  service_limits limits_;
  service_claims claims_;
  clock::time_point linger_until_{};
  std::map<std::uint64_t, replica> replicas_;
  std::map<std::uint64_t, waiter> waiters_;
  std::deque<clock::time_point> failures_;
  clock::time_point start_after_{};
  bool gave_up_ = false;
  std::uint64_t tickets_ = 0;
  std::map<std::uint64_t, clock::time_point> asked_;  ///< tickets under way
  std::map<std::uint64_t, bool> old_;                 ///< replicas that a restart replaces
  std::optional<error_info> last_failure_;
};

}  // namespace berth::actors
