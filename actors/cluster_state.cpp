#include "actors/cluster_state.hpp"

#include <algorithm>

namespace berth::actors {

std::uint64_t cluster_state::join(node_facts who) {
  for (auto& [number, known] : nodes_)
    if (known.uuid == who.uuid) {
      known = std::move(who);
      return number;
    }
  nodes_.emplace(++last_node_, std::move(who));
  return last_node_;
}

std::vector<std::uint64_t> cluster_state::lose(std::uint64_t node) {
  std::vector<std::uint64_t> gone;
  nodes_.erase(node);
  std::erase_if(replicas_, [&](const auto& one) {
    if (one.second == node) gone.push_back(one.first);
    return one.second == node;
  });
  return gone;
}

result<cluster_state::placement> cluster_state::place(const std::string& name) {
  if (nodes_.empty())
    return fail(kind::overloaded, "no_node",
                "no node of the cluster is there to start a worker on; retry");
  std::map<std::uint64_t, std::size_t> load;
  for (const auto& [node, facts] : nodes_)
    load[node] = 0;
  for (const auto& [replica, node] : replicas_)
    ++load[node];
  auto least = std::min_element(load.begin(), load.end(),
                                [](const auto& a, const auto& b) { return a.second < b.second; });
  placement out{++last_replica_, least->first, {}};
  replicas_.emplace(out.replica, out.node);
  for (auto [slot, revision] : gates_[name])
    out.gates.push_back({slot, revision});
  return out;
}

void cluster_state::ended(std::uint64_t replica) {
  replicas_.erase(replica);
}

void cluster_state::raise(const std::string& name, const std::vector<gate>& gates) {
  auto& known = gates_[name];
  for (const auto& one : gates)
    known[one.slot] = std::max(known[one.slot], one.revision);
}

std::optional<std::uint64_t> cluster_state::node_of(std::uint64_t replica) const {
  auto found = replicas_.find(replica);
  return found == replicas_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace berth::actors
