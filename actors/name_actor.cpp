#include "actors/actors.hpp"
#include "actors/asking.hpp"

#include <fmt/format.h>

namespace berth::actors {
namespace {

struct name_data {
  std::optional<name_state> state;
  asking asks;
  cluster_api cluster;
  replica_counts* counts = nullptr;
  std::string title;
  std::map<std::uint32_t, service_api> services;
  std::map<std::uint64_t, caf::strong_actor_ptr> sinks;  ///< whom a follower's routes go to
  std::map<std::uint64_t, std::function<void()>> flips;
  std::uint64_t last_flip = 0;
};

using self_pointer = name_api::stateful_pointer<name_data>;

/// The service of a version; made when it is first needed.
service_api service_of(self_pointer self, std::uint32_t number) {
  auto& data = self->state;
  if (auto found = data.services.find(number); found != data.services.end()) return found->second;
  const auto* version = data.state->version(number);
  replica_order blueprint;
  blueprint.name = data.title;
  blueprint.version = number;
  blueprint.digest = version->digest;
  blueprint.manifest = version->manifest;
  blueprint.concurrency = version->concurrency;
  auto made =
      spawn_service(self->home_system(), data.cluster, name_api(self), std::move(blueprint), {});
  data.services.emplace(number, made);
  return made;
}

/// Executes what the state machine decided.
struct performer {
  self_pointer self;

  void all(const name_effects& effects) const {
    for (const auto& one : effects)
      std::visit(*this, one);
  }

  void operator()(const claim_service& what) const {
    self->send(service_of(self, what.version), claim_atom_v, what.claims);
  }

  void operator()(const close_gates& what) const {
    auto me = *this;
    auto flip = what.flip;
    auto& data = self->state;
    auto closed = [me, flip] { me.all(me.self->state.state->gates_closed(flip)); };
    // A cluster that is gone has no workers that could start a call.
    data.asks.ask<done>(
        self, data.cluster, [closed](done&) { closed(); },
        [closed](const error_info&) { closed(); }, gates_atom_v, data.title, what.gates);
  }

  void operator()(const push_route& what) const {
    auto found = self->state.sinks.find(what.follower);
    if (found != self->state.sinks.end())
      caf::anon_send(caf::actor_cast<caf::actor>(found->second), route_atom_v, what.follower,
                     what.route);
  }

  void operator()(const flip_done& what) const {
    auto found = self->state.flips.find(what.flip);
    if (found == self->state.flips.end()) return;
    auto tell = std::move(found->second);
    self->state.flips.erase(found);
    tell();
  }
};

/// Waits until each of `versions` has `need` ready replicas; `then` gets the first problem and the slowest readiness.
void await_all(self_pointer self,
               const std::vector<std::uint32_t>& versions,
               std::uint32_t need,
               std::uint32_t wait_ms,
               std::function<void(std::vector<error_info>, readiness)> then) {
  struct gathering {
    std::size_t left;
    std::vector<error_info> problems;
    readiness slowest;
    std::function<void(std::vector<error_info>, readiness)> then;
  };

  auto all = std::make_shared<gathering>(gathering{versions.size(), {}, {}, std::move(then)});
  if (versions.empty()) return all->then({}, {});
  auto one = [all](std::optional<error_info> why, const readiness& r) {
    if (why) all->problems.push_back(*why);
    all->slowest.load_us = std::max(all->slowest.load_us, r.load_us);
    all->slowest.health_us = std::max(all->slowest.health_us, r.health_us);
    if (--all->left == 0) all->then(all->problems, all->slowest);
  };
  for (auto version : versions)
    self->state.asks.ask<reply<readiness>>(
        self, service_of(self, version),
        [one](reply<readiness>& answer) { one(answer.why, answer.what); },
        [one](const error_info& why) { one(why, {}); }, await_atom_v, need, wait_ms);
}

caf::result<reply<verbs::route>> bind(self_pointer self,
                                      const performer& perform,
                                      const bind_request& what) {
  using answer = reply<verbs::route>;
  auto& data = self->state;
  bool pinned = what.who.tag.empty();
  if (pinned ? data.state->version(what.who.version) == nullptr
             : !data.state->has_tag(what.who.tag))
    return answer(fail(kind::missing, "no_such_ref",
                       fmt::format("'{}' has no such tag or version", data.title)));
  if (what.key != 0) {
    data.sinks[what.key] = self->current_sender();
    perform.all(data.state->follow(what.key, what.who));
  }
  auto route = [self, who = what.who, pinned] {
    return pinned ? self->state.state->route_of_version(who.version)
                  : self->state.state->route_of_tag(who.tag);
  };
  auto versions =
      pinned ? std::vector<std::uint32_t>{what.who.version} : data.state->versions_of(what.who.tag);
  auto promise = self->make_response_promise<answer>();
  await_all(
      self, versions, 1, what.wait_ms,
      [promise, route, versions](std::vector<error_info> problems, readiness) mutable {
        if (problems.size() == versions.size())
          promise.deliver(answer(std::move(problems.front()).at("while waiting for a replica")));
        else
          promise.deliver(answer(route()));
      });
  return promise;
}

/// From now on, over restarts too, the version has so many replicas while it lives.
void scale(self_pointer self,
           const performer& perform,
           std::uint32_t version,
           std::uint32_t replicas) {
  auto& data = self->state;
  if (data.counts != nullptr) static_cast<void>(data.counts->set(data.title, version, replicas));
  perform.all(data.state->scale(version, replicas));
}

caf::result<reply<prepared>> get_ready(self_pointer self,
                                       const performer& perform,
                                       const prepare& what) {
  auto& data = self->state;
  for (auto version : what.versions) {
    if (data.state->version(version) == nullptr)
      return reply<prepared>(fail(kind::missing, "no_such_version",
                                  fmt::format("'{}' has no version {}", data.title, version)));
    if (what.replicas > 0) scale(self, perform, version, what.replicas);
  }
  auto promise = self->make_response_promise<reply<prepared>>();
  auto tags = what.tags;
  await_all(
      self, what.versions, what.replicas, what.wait_ms,
      [self, promise, tags](std::vector<error_info> problems, readiness slowest) mutable {
        if (!problems.empty()) {
          promise.deliver(reply<prepared>(problems.front()));
          return;
        }
        prepared out;
        out.ready = slowest;
        for (const auto& [id, one] : self->state.state->followers())
          for (const auto& tag : tags)
            if (one.tag == tag && !one.signature.empty())
              out.bound.push_back({one.who, self->state.title, one.tag, one.method, one.signature});
        promise.deliver(reply<prepared>(std::move(out)));
      });
  return promise;
}

caf::result<done> restart(self_pointer self, std::uint32_t wait_ms) {
  auto promise = self->make_response_promise<done>();

  struct gathering {
    std::size_t left;
    std::optional<error_info> why;
  };

  std::vector<service_api> living;
  for (const auto& [version, service] : self->state.services)
    living.push_back(service);
  if (living.empty()) return done{};
  auto all = std::make_shared<gathering>(gathering{living.size(), {}});
  auto one = [all, promise](std::optional<error_info> why) mutable {
    if (why) all->why = why;
    if (--all->left == 0) promise.deliver(done{all->why});
  };
  for (const auto& service : living)
    self->state.asks.ask<done>(
        self, service, [one](done& answer) mutable { one(answer.why); },
        [one](const error_info& why) mutable { one(why); }, restart_atom_v, wait_ms);
  return promise;
}

name_api::behavior_type name(self_pointer self,
                             cluster_api cluster,
                             std::string what,
                             std::vector<version_info> versions,
                             std::vector<tag_flip> tags,
                             replica_counts* counts) {
  auto& data = self->state;
  data.state.emplace(what);
  data.cluster = std::move(cluster);
  data.title = std::move(what);
  data.counts = counts;
  self->set_down_handler([self](caf::down_msg& gone) { self->state.asks.down(gone.source); });
  performer perform{self};
  for (auto& one : versions) {
    auto number = one.number;
    perform.all(data.state->published(std::move(one)));
    if (counts != nullptr)
      perform.all(data.state->scale(number, counts->wanted(data.title, number)));
  }
  if (!tags.empty()) perform.all(data.state->flipped(++data.last_flip, tags));
  return {
      [self, perform](version_atom, const version_info& version) {
        perform.all(self->state.state->published(version));
      },
      [self, perform](flips_atom, const std::vector<tag_flip>& flips) -> caf::result<done> {
        auto promise = self->make_response_promise<done>();
        auto flip = ++self->state.last_flip;
        self->state.flips[flip] = [promise]() mutable { promise.deliver(done{}); };
        perform.all(self->state.state->flipped(flip, flips));
        return promise;
      },
      [self, perform](ready_atom, std::uint32_t version,
                      const std::vector<verbs::endpoint>& ready) {
        perform.all(self->state.state->replicas(version, ready));
      },
      [self, perform](bind_atom, const bind_request& request) {
        return bind(self, perform, request);
      },
      [self, perform](forget_atom, std::uint64_t key) {
        self->state.sinks.erase(key);
        perform.all(self->state.state->forget(key));
      },
      [self, perform](prepare_atom, const prepare& request) {
        return get_ready(self, perform, request);
      },
      [self](restart_atom, std::uint32_t wait_ms) { return restart(self, wait_ms); },
      [self, perform](scale_atom, std::uint32_t version,
                      std::uint32_t replicas) -> caf::result<done> {
        if (self->state.state->version(version) == nullptr)
          return done{fail(kind::missing, "no_such_version",
                           fmt::format("'{}' has no version {}", self->state.title, version))};
        scale(self, perform, version, replicas);
        return done{};
      },
      [self](stop_atom) {
        for (const auto& [version, service] : self->state.services)
          self->send(service, stop_atom_v);
        self->quit();
      },
  };
}

}  // namespace

name_api spawn_name(caf::actor_system& system,
                    cluster_api cluster,
                    std::string what,
                    std::vector<version_info> versions,
                    std::vector<tag_flip> tags,
                    replica_counts* counts) {
  return system.spawn(name, std::move(cluster), std::move(what), std::move(versions),
                      std::move(tags), counts);
}

}  // namespace berth::actors
