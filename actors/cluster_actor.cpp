#include "actors/actors.hpp"
#include "actors/asking.hpp"

#include <fmt/format.h>

namespace berth::actors {
namespace {

struct cluster_data {
  cluster_state state;
  asking asks;
  std::map<std::uint64_t, node_api> nodes;
  std::map<std::uint64_t, service_api> owners;             ///< by replica
  std::map<std::uint64_t, caf::strong_actor_ptr> readers;  ///< of logs
};

using self_pointer = cluster_api::stateful_pointer<cluster_data>;

error_info node_lost() {
  return fail(kind::disconnected, "node_lost", "the node that ran this worker is gone");
}

void lose(self_pointer self, std::uint64_t node) {
  auto& data = self->state;
  data.nodes.erase(node);
  for (auto replica : data.state.lose(node)) {
    auto owner = data.owners.find(replica);
    if (owner == data.owners.end()) continue;
    replica_event event;
    event.replica = replica;
    event.happened = replica_event::what::ended;
    event.why = node_lost();
    self->send(owner->second, event_atom_v, std::move(event));
    data.owners.erase(owner);
  }
}

void down(self_pointer self, const caf::actor_addr& who) {
  self->state.asks.down(who);
  for (const auto& [number, node] : self->state.nodes)
    if (node.address() == who) return lose(self, number);
}

/// Asks every node the same and joins the lists of their answers.
template <class Row, class... Words>
caf::result<std::vector<Row>> ask_all(self_pointer self, Words... words) {
  auto promise = self->template make_response_promise<std::vector<Row>>();

  struct gathering {
    std::size_t left;
    std::vector<Row> rows;
  };

  auto& data = self->state;
  if (data.nodes.empty()) return std::vector<Row>{};
  auto all = std::make_shared<gathering>(gathering{data.nodes.size(), {}});
  auto one = [all, promise](const std::vector<Row>& rows) mutable {
    all->rows.insert(all->rows.end(), rows.begin(), rows.end());
    if (--all->left == 0) promise.deliver(std::move(all->rows));
  };
  for (const auto& [number, node] : data.nodes)
    data.asks.template ask<std::vector<Row>>(
        self, node, [one](std::vector<Row>& rows) mutable { one(rows); },
        [one](const error_info&) mutable { one({}); }, words...);
  return promise;
}

caf::result<reply<std::uint64_t>> place(self_pointer self,
                                        replica_order order,
                                        const service_api& owner) {
  using answer = reply<std::uint64_t>;
  auto& data = self->state;
  auto where = data.state.place(order.name);
  if (!where) return answer(std::move(where).error());
  order.replica = where->replica;
  order.gates = where->gates;
  data.owners.emplace(where->replica, owner);
  auto promise = self->make_response_promise<answer>();
  // The number is told before the node answers: events of the replica may overtake that answer.
  promise.deliver(answer(where->replica));
  auto replica = where->replica;
  auto refused = [self, replica](const error_info& why) {
    auto found = self->state.owners.find(replica);
    if (found == self->state.owners.end()) return;
    replica_event event{replica, replica_event::what::unfit, 0, 0, 0, why};
    self->send(found->second, event_atom_v, event);
    event.happened = replica_event::what::ended;
    self->send(found->second, event_atom_v, event);
    self->state.owners.erase(found);
    self->state.state.ended(replica);
  };
  data.asks.ask<done>(
      self, data.nodes.at(where->node),
      [refused](done& answered) {
        if (answered.why) refused(*answered.why);
      },
      refused, start_atom_v, std::move(order));
  return promise;
}

caf::result<done> close(self_pointer self,
                        const std::string& name,
                        const std::vector<gate>& gates) {
  auto& data = self->state;
  data.state.raise(name, gates);
  if (data.nodes.empty()) return done{};
  auto promise = self->make_response_promise<done>();
  auto left = std::make_shared<std::size_t>(data.nodes.size());
  auto one = [left, promise]() mutable {
    if (--*left == 0) promise.deliver(done{});
  };
  // A node that is gone took its workers with it: nothing can start there.
  for (const auto& [number, node] : data.nodes)
    data.asks.ask<done>(
        self, node, [one](done&) mutable { one(); }, [one](const error_info&) mutable { one(); },
        gates_atom_v, name, gates);
  return promise;
}

void happened(self_pointer self, const replica_event& event) {
  auto& data = self->state;
  auto owner = data.owners.find(event.replica);
  if (owner == data.owners.end()) return;
  self->send(owner->second, event_atom_v, event);
  if (event.happened != replica_event::what::ended) return;
  data.owners.erase(owner);
  data.state.ended(event.replica);
}

caf::result<call_fate> fate(self_pointer self,
                            std::uint64_t replica,
                            std::uint64_t link,
                            std::uint64_t call) {
  auto& data = self->state;
  auto where = data.state.node_of(replica);
  // The node remembers the dead for a while; with one node there is no question which.
  if (!where && data.nodes.size() == 1) where = data.nodes.begin()->first;
  if (!where || !data.nodes.contains(*where)) return call_fate{};
  auto promise = self->make_response_promise<call_fate>();
  data.asks.ask<call_fate>(
      self, data.nodes.at(*where), [promise](call_fate& f) mutable { promise.deliver(f); },
      [promise](const error_info&) mutable { promise.deliver(call_fate{}); }, fate_atom_v, replica,
      link, call);
  return promise;
}

cluster_api::behavior_type cluster(self_pointer self) {
  self->set_down_handler([self](caf::down_msg& what) { down(self, what.source); });
  return {
      [self](join_atom, const node_facts& who, const node_api& node) -> std::uint64_t {
        auto number = self->state.state.join(who);
        self->state.nodes.insert_or_assign(number, node);
        self->monitor(node);
        return number;
      },
      [self](place_atom, const replica_order& order, const service_api& owner) {
        return place(self, order, owner);
      },
      [self](drain_atom, std::uint64_t replica, std::uint32_t patience_ms) {
        auto where = self->state.state.node_of(replica);
        if (where && self->state.nodes.contains(*where))
          self->send(self->state.nodes.at(*where), drain_atom_v, replica, patience_ms);
      },
      [self](gates_atom, const std::string& name, const std::vector<gate>& gates) {
        return close(self, name, gates);
      },
      [self](event_atom, const replica_event& event) { happened(self, event); },
      [self](ps_atom, const std::string& prefix) {
        return ask_all<worker_row>(self, ps_atom_v, prefix);
      },
      [self](stats_atom, const std::string& prefix) {
        return ask_all<verbs::counter_row>(self, stats_atom_v, prefix);
      },
      [self](fate_atom, std::uint64_t replica, std::uint64_t link, std::uint64_t call) {
        return fate(self, replica, link, call);
      },
      [self](logs_atom, const std::string& prefix, std::uint32_t lines) {
        return ask_all<verbs::log_row>(self, logs_atom_v, prefix, lines);
      },
      [self](follow_atom, std::uint64_t key, const std::string& prefix) {
        self->state.readers[key] = self->current_sender();
        for (const auto& [number, node] : self->state.nodes)
          self->send(node, follow_atom_v, key, prefix);
      },
      [self](forget_atom, std::uint64_t key) {
        self->state.readers.erase(key);
        for (const auto& [number, node] : self->state.nodes)
          self->send(node, forget_atom_v, key);
      },
      [self](logs_atom, std::uint64_t key, const std::vector<verbs::log_row>& rows) {
        auto reader = self->state.readers.find(key);
        if (reader != self->state.readers.end())
          caf::anon_send(caf::actor_cast<caf::actor>(reader->second), logs_atom_v, key, rows);
      },
      [self](facts_atom) {
        return cluster_facts{static_cast<std::uint32_t>(self->state.nodes.size()),
                             static_cast<std::uint32_t>(self->state.state.replicas())};
      },
      [self](stop_atom) {
        for (const auto& [number, node] : self->state.nodes)
          self->send(node, stop_atom_v);
        self->quit();
      },
  };
}

}  // namespace

cluster_api spawn_cluster(caf::actor_system& system) {
  return system.spawn(cluster);
}

}  // namespace berth::actors
