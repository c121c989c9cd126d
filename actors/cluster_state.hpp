#pragma once
// Cluster, the state machine: which nodes there are, and on which of them each replica lives.
//
// It knows the gates of every name, so that a worker that starts late starts with the gates as they stand now.
// Pure: questions and events in, answers out.

#include "actors/name_state.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace berth::actors {

struct node_facts {
  std::string uuid;  ///< drawn by the node when it starts; its true identity
  std::string host;
  std::int64_t pid = 0;
  std::uint32_t cpus = 0;
  friend bool operator==(const node_facts&, const node_facts&) = default;
};

class cluster_state {
 public:
  /// A node came; returns its number. A node of the same uuid that is there already keeps its number.
  std::uint64_t join(node_facts who);
  /// A node went; returns its replicas, which are gone with it.
  std::vector<std::uint64_t> lose(std::uint64_t node);

  struct placement {
    std::uint64_t replica = 0;
    std::uint64_t node = 0;
    std::vector<gate> gates;
  };

  /// Gives a new replica of `name` a number and the node with the fewest replicas. Errors: `overloaded` (no_node).
  [[nodiscard]] result<placement> place(const std::string& name);
  void ended(std::uint64_t replica);

  /// Raises gates of a name; later placements carry them. Lower revisions change nothing.
  void raise(const std::string& name, const std::vector<gate>& gates);

  [[nodiscard]] std::optional<std::uint64_t> node_of(std::uint64_t replica) const;

  [[nodiscard]] const std::map<std::uint64_t, node_facts>& nodes() const { return nodes_; }

  [[nodiscard]] std::size_t replicas() const { return replicas_.size(); }

 private:
  std::map<std::uint64_t, node_facts> nodes_;
  std::map<std::uint64_t, std::uint64_t> replicas_;  ///< node by replica
  std::map<std::string, std::map<std::uint32_t, std::uint64_t>> gates_;
  std::uint64_t last_node_ = 0;
  std::uint64_t last_replica_ = 0;
};

}  // namespace berth::actors
