#pragma once
// The actors themselves: each a mailbox around the state machine of the same name, made here.

#include "actors/interfaces.hpp"
#include "actors/replica_counts.hpp"
#include "registry/names_state.hpp"
#include "registry/store.hpp"

#include <memory>

namespace berth::actors {

class control_port;
struct head_services;

/// `host` must outlive the actor.
node_api spawn_node(caf::actor_system& system, cluster_api cluster, worker_host& host);

cluster_api spawn_cluster(caf::actor_system& system);

service_api spawn_service(caf::actor_system& system,
                          cluster_api cluster,
                          name_api name,
                          replica_order blueprint,
                          service_limits limits);

/// `versions` and `tags` as the registry knows them now. `counts` may be null and outlives the actor.
name_api spawn_name(caf::actor_system& system,
                    cluster_api cluster,
                    std::string name,
                    std::vector<version_info> versions,
                    std::vector<tag_flip> tags,
                    replica_counts* counts);

/// `store` must outlive the actor and all its commits; `counts` may be null and outlives it too.
registry_api spawn_registry(caf::actor_system& system,
                            cluster_api cluster,
                            std::unique_ptr<registry::names_state> names,
                            registry::store& store,
                            replica_counts* counts);

/// `port` and `services` must outlive the actor.
control_api spawn_control(caf::actor_system& system,
                          registry_api registry,
                          cluster_api cluster,
                          control_port& port,
                          head_services& services);

}  // namespace berth::actors
