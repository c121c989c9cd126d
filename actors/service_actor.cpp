#include "actors/actors.hpp"
#include "actors/asking.hpp"

#include <fmt/format.h>

namespace berth::actors {
namespace {

struct service_data {
  std::optional<service_state> state;
  asking asks;
  cluster_api cluster;
  name_api owner;
  replica_order blueprint;
  std::map<std::uint64_t, std::function<void(std::optional<error_info>)>> waiters;
  std::uint64_t last_waiter = 0;
  std::optional<clock::time_point> armed;
};

using self_pointer = service_api::stateful_pointer<service_data>;

/// Executes what the state machine decided.
struct performer {
  self_pointer self;

  void all(const service_effects& effects) const {
    for (const auto& one : effects)
      std::visit(*this, one);
  }

  void operator()(const start_one& what) const {
    auto me = *this;
    auto ticket = what.ticket;
    auto& data = self->state;
    data.asks.ask<reply<std::uint64_t>>(
        self, data.cluster,
        [me, ticket](reply<std::uint64_t>& answer) {
          auto& state = *me.self->state.state;
          me.all(answer.why ? state.not_placed(ticket, *answer.why, clock::now())
                            : state.placed(ticket, answer.what, clock::now()));
        },
        [me, ticket](const error_info& why) {
          me.all(me.self->state.state->not_placed(ticket, why, clock::now()));
        },
        place_atom_v, data.blueprint, service_api(self));
  }

  void operator()(const drain_one& what) const {
    self->send(self->state.cluster, drain_atom_v, what.replica,
               static_cast<std::uint32_t>(what.patience.count()));
  }

  void operator()(const replicas_changed&) const {
    std::vector<verbs::endpoint> ready;
    for (const auto& [id, one] : self->state.state->replicas())
      if (one.phase == replica_phase::ready)
        ready.push_back({fmt::format("worker:{}", id), one.pid});
    self->send(self->state.owner, ready_atom_v, self->state.blueprint.version, std::move(ready));
  }

  void operator()(const answer_waiter& what) const {
    auto found = self->state.waiters.find(what.waiter);
    if (found == self->state.waiters.end()) return;
    auto tell = std::move(found->second);
    self->state.waiters.erase(found);
    tell(what.why);
  }

  void operator()(const wake_at& what) const {
    auto& armed = self->state.armed;
    if (armed && *armed <= what.when) return;
    armed = what.when;
    auto wait = std::max<clock::duration>(what.when - clock::now(), std::chrono::milliseconds(1));
    self->delayed_send(
        service_api(self),
        std::chrono::duration_cast<std::chrono::milliseconds>(wait) + std::chrono::milliseconds(1),
        tick_atom_v);
  }
};

readiness slowest(const service_state& state) {
  readiness out;
  for (const auto& [id, one] : state.replicas()) {
    out.load_us = std::max(out.load_us, static_cast<std::uint64_t>(one.load_ms * 1000));
    out.health_us = std::max(out.health_us, static_cast<std::uint64_t>(one.health_ms * 1000));
  }
  return out;
}

service_effects happened(service_state& state, const replica_event& event) {
  auto now = clock::now();
  switch (event.happened) {
    case replica_event::what::started:
      return state.started(event.replica, event.pid, now);
    case replica_event::what::ready:
      return state.ready(event.replica, static_cast<double>(event.load_us) / 1000,
                         static_cast<double>(event.health_us) / 1000, now);
    case replica_event::what::unfit:
      return state.unfit(event.replica, event.why, now);
    case replica_event::what::ended:
      return state.ended(event.replica, event.why, now);
  }
  return {};
}

service_api::behavior_type service(self_pointer self,
                                   cluster_api cluster,
                                   name_api name,
                                   replica_order blueprint,
                                   service_limits limits) {
  auto& data = self->state;
  data.state.emplace(fmt::format("{}@{}", blueprint.name, blueprint.version), limits);
  data.cluster = std::move(cluster);
  data.owner = std::move(name);
  data.blueprint = std::move(blueprint);
  self->set_down_handler([self](caf::down_msg& what) { self->state.asks.down(what.source); });
  performer perform{self};
  return {
      [self, perform](claim_atom, const service_claims& claims) {
        perform.all(self->state.state->claim(claims, clock::now()));
      },
      [self, perform](await_atom, std::uint32_t need,
                      std::uint32_t wait_ms) -> caf::result<reply<readiness>> {
        auto promise = self->make_response_promise<reply<readiness>>();
        auto waiter = ++self->state.last_waiter;
        self->state.waiters[waiter] = [self, promise](std::optional<error_info> why) mutable {
          promise.deliver(why ? reply<readiness>(*why)
                              : reply<readiness>(slowest(*self->state.state)));
        };
        auto now = clock::now();
        perform.all(
            self->state.state->await(waiter, need, now + std::chrono::milliseconds(wait_ms), now));
        return promise;
      },
      [self, perform](restart_atom, std::uint32_t wait_ms) -> caf::result<done> {
        auto promise = self->make_response_promise<done>();
        auto waiter = ++self->state.last_waiter;
        self->state.waiters[waiter] = [promise](std::optional<error_info> why) mutable {
          promise.deliver(done{why});
        };
        auto now = clock::now();
        perform.all(
            self->state.state->restart(waiter, now + std::chrono::milliseconds(wait_ms), now));
        return promise;
      },
      [self, perform](event_atom, const replica_event& event) {
        perform.all(happened(*self->state.state, event));
      },
      [self, perform](tick_atom) {
        self->state.armed.reset();
        perform.all(self->state.state->tick(clock::now()));
      },
      [self](stop_atom) { self->quit(); },
  };
}

}  // namespace

service_api spawn_service(caf::actor_system& system,
                          cluster_api cluster,
                          name_api name,
                          replica_order blueprint,
                          service_limits limits) {
  return system.spawn(service, std::move(cluster), std::move(name), std::move(blueprint), limits);
}

}  // namespace berth::actors
