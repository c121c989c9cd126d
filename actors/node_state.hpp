#pragma once
// Node, the state machine: the replicas of one node, from order to end, and the limits on how long each step may take.
//
// Pure: events in, effects out.

#include "actors/worker_host.hpp"

#include <map>
#include <optional>
#include <variant>
#include <vector>

namespace berth::actors {

struct node_limits {
  /// From the order to ready, on top of what the health hook may take: reading, linking and constructing large models.
  std::chrono::milliseconds load_max{60000};
};

struct host_start {
  replica_order order;
};

struct host_drain {
  std::uint64_t replica = 0;
  std::chrono::milliseconds patience{0};
};

struct host_kill {
  std::uint64_t replica = 0;
};

struct tell_cluster {
  replica_event event;
};

using node_effect = std::variant<host_start, host_drain, host_kill, tell_cluster, wake_at>;
using node_effects = std::vector<node_effect>;

class node_state {
 public:
  explicit node_state(node_limits limits = {}) : limits_(limits) {}

  node_effects order(replica_order what, clock::time_point now);
  /// The host could not start it.
  node_effects refused(std::uint64_t replica, const error_info& why, clock::time_point now);
  node_effects happened(const replica_event& event, clock::time_point now);
  node_effects drain(std::uint64_t replica,
                     std::chrono::milliseconds patience,
                     clock::time_point now);
  node_effects tick(clock::time_point now);

  [[nodiscard]] std::size_t replicas() const { return replicas_.size(); }

 private:
  struct one {
    replica_phase phase = replica_phase::starting;
    std::optional<clock::time_point> deadline;
    bool killed = false;
    std::string title;
  };

  void arm(node_effects& out, clock::time_point now) const;

  node_limits limits_;
  std::map<std::uint64_t, one> replicas_;
};

}  // namespace berth::actors
