#pragma once
// Interfaces: which actor answers what, and the frozen list of message types.
//
//   control ── every verb of every connection
//     ├─ registry ── the names plane; one name actor per name in use
//     │    └─ name ── followers, gates, routes of one name
//     │         └─ service ── replicas of one version
//     └─ cluster ── nodes, placement
//          └─ node ── workers of one machine (the only one that may live in another process)

#include "actors/messages.hpp"

CAF_BEGIN_TYPE_ID_BLOCK(berth, caf::first_custom_type_id)
CAF_ADD_TYPE_ID(berth, (berth::error_info))
CAF_ADD_TYPE_ID(berth, (berth::registry::request))
CAF_ADD_TYPE_ID(berth, (berth::registry::outcome))
CAF_ADD_TYPE_ID(berth, (berth::registry::bound_caller))
CAF_ADD_TYPE_ID(berth, (berth::client::verbs::endpoint))
CAF_ADD_TYPE_ID(berth, (std::vector<berth::client::verbs::endpoint>))
CAF_ADD_TYPE_ID(berth, (berth::client::verbs::route))
CAF_ADD_TYPE_ID(berth, (berth::client::verbs::changes))
CAF_ADD_TYPE_ID(berth, (berth::client::verbs::pointed))
CAF_ADD_TYPE_ID(berth, (berth::client::verbs::described))
CAF_ADD_TYPE_ID(berth, (std::vector<berth::client::verbs::name_row>))
CAF_ADD_TYPE_ID(berth, (std::vector<berth::client::verbs::counter_row>))
CAF_ADD_TYPE_ID(berth, (std::vector<berth::client::verbs::log_row>))
CAF_ADD_TYPE_ID(berth, (berth::actors::blob))
CAF_ADD_TYPE_ID(berth, (std::vector<berth::actors::gate>))
CAF_ADD_TYPE_ID(berth, (berth::actors::version_info))
CAF_ADD_TYPE_ID(berth, (std::vector<berth::actors::tag_flip>))
CAF_ADD_TYPE_ID(berth, (berth::actors::service_claims))
CAF_ADD_TYPE_ID(berth, (berth::actors::node_facts))
CAF_ADD_TYPE_ID(berth, (berth::actors::replica_order))
CAF_ADD_TYPE_ID(berth, (berth::actors::replica_event))
CAF_ADD_TYPE_ID(berth, (std::vector<berth::actors::worker_row>))
CAF_ADD_TYPE_ID(berth, (berth::actors::call_fate))
CAF_ADD_TYPE_ID(berth, (berth::actors::done))
CAF_ADD_TYPE_ID(berth, (berth::actors::prepare))
CAF_ADD_TYPE_ID(berth, (berth::actors::bind_request))
CAF_ADD_TYPE_ID(berth, (berth::actors::past_request))
CAF_ADD_TYPE_ID(berth, (berth::actors::watch_request))
CAF_ADD_TYPE_ID(berth, (berth::actors::watch_rows))
CAF_ADD_TYPE_ID(berth, (berth::actors::control_request))
CAF_ADD_TYPE_ID(berth, (berth::actors::registry_facts))
CAF_ADD_TYPE_ID(berth, (berth::actors::cluster_facts))
CAF_ADD_TYPE_ID(berth, (berth::actors::reply<std::uint64_t>))
CAF_ADD_TYPE_ID(berth, (berth::actors::reply<berth::registry::outcome>))
CAF_ADD_TYPE_ID(berth, (berth::actors::reply<berth::client::verbs::route>))
CAF_ADD_TYPE_ID(berth, (berth::actors::reply<berth::client::verbs::changes>))
CAF_ADD_TYPE_ID(berth, (berth::actors::reply<berth::client::verbs::pointed>))
CAF_ADD_TYPE_ID(berth, (berth::actors::reply<berth::client::verbs::described>))
CAF_ADD_TYPE_ID(berth, (berth::actors::reply<berth::actors::readiness>))
CAF_ADD_TYPE_ID(berth, (berth::actors::reply<berth::actors::prepared>))
CAF_ADD_TYPE_ID(berth, (berth::actors::reply<berth::actors::found_ref>))
CAF_ADD_ATOM(berth, berth::actors, stop_atom, "stop")
CAF_ADD_ATOM(berth, berth::actors, tick_atom, "tick")
CAF_ADD_ATOM(berth, berth::actors, join_atom, "join")
CAF_ADD_ATOM(berth, berth::actors, place_atom, "place")
CAF_ADD_ATOM(berth, berth::actors, start_atom, "start")
CAF_ADD_ATOM(berth, berth::actors, drain_atom, "drain")
CAF_ADD_ATOM(berth, berth::actors, gates_atom, "gates")
CAF_ADD_ATOM(berth, berth::actors, event_atom, "event")
CAF_ADD_ATOM(berth, berth::actors, ps_atom, "ps")
CAF_ADD_ATOM(berth, berth::actors, stats_atom, "stats")
CAF_ADD_ATOM(berth, berth::actors, fate_atom, "fate")
CAF_ADD_ATOM(berth, berth::actors, logs_atom, "logs")
CAF_ADD_ATOM(berth, berth::actors, follow_atom, "follow")
CAF_ADD_ATOM(berth, berth::actors, forget_atom, "forget")
CAF_ADD_ATOM(berth, berth::actors, claim_atom, "claim")
CAF_ADD_ATOM(berth, berth::actors, await_atom, "await")
CAF_ADD_ATOM(berth, berth::actors, restart_atom, "restart")
CAF_ADD_ATOM(berth, berth::actors, scale_atom, "scale")
CAF_ADD_ATOM(berth, berth::actors, version_atom, "version")
CAF_ADD_ATOM(berth, berth::actors, flips_atom, "flips")
CAF_ADD_ATOM(berth, berth::actors, ready_atom, "ready")
CAF_ADD_ATOM(berth, berth::actors, bind_atom, "bind")
CAF_ADD_ATOM(berth, berth::actors, route_atom, "route")
CAF_ADD_ATOM(berth, berth::actors, prepare_atom, "prepare")
CAF_ADD_ATOM(berth, berth::actors, commit_atom, "commit")
CAF_ADD_ATOM(berth, berth::actors, open_atom, "open")
CAF_ADD_ATOM(berth, berth::actors, find_atom, "find")
CAF_ADD_ATOM(berth, berth::actors, list_atom, "list")
CAF_ADD_ATOM(berth, berth::actors, describe_atom, "describe")
CAF_ADD_ATOM(berth, berth::actors, history_atom, "history")
CAF_ADD_ATOM(berth, berth::actors, past_atom, "past")
CAF_ADD_ATOM(berth, berth::actors, watch_atom, "watch")
CAF_ADD_ATOM(berth, berth::actors, taken_atom, "taken")
CAF_ADD_ATOM(berth, berth::actors, ask_atom, "ask")
CAF_ADD_ATOM(berth, berth::actors, cancel_atom, "cancel")
CAF_ADD_ATOM(berth, berth::actors, gone_atom, "gone")
CAF_ADD_ATOM(berth, berth::actors, facts_atom, "facts")
CAF_END_TYPE_ID_BLOCK(berth)

namespace berth::actors {

/// Workers of one machine. Tells its cluster what becomes of them.
using node_api =
    typed<caf::result<done>(start_atom, replica_order),
          caf::result<void>(drain_atom, std::uint64_t, std::uint32_t),  // replica, patience in ms
          caf::result<done>(
              gates_atom, std::string, std::vector<gate>),  // name; answered when they are closed
          caf::result<std::vector<worker_row>>(ps_atom, std::string),
          caf::result<std::vector<verbs::counter_row>>(stats_atom, std::string),
          caf::result<call_fate>(
              fate_atom, std::uint64_t, std::uint64_t, std::uint64_t),  // replica, link, call
          caf::result<std::vector<verbs::log_row>>(logs_atom, std::string, std::uint32_t),
          caf::result<void>(follow_atom, std::uint64_t, std::string),  // key, prefix
          caf::result<void>(forget_atom, std::uint64_t),
          caf::result<void>(event_atom, replica_event),  // from its host
          caf::result<void>(
              logs_atom, std::uint64_t, std::vector<verbs::log_row>),  // from its host
          caf::result<void>(tick_atom),
          caf::result<void>(stop_atom)>;

/// Replicas of one version.
using service_api = typed<caf::result<void>(claim_atom, service_claims),
                          caf::result<reply<readiness>>(
                              await_atom, std::uint32_t, std::uint32_t),   // replicas needed, ms
                          caf::result<done>(restart_atom, std::uint32_t),  // ms
                          caf::result<void>(event_atom, replica_event),
                          caf::result<void>(tick_atom),
                          caf::result<void>(stop_atom)>;

/// Nodes and placement.
using cluster_api =
    typed<caf::result<std::uint64_t>(join_atom, node_facts, node_api),
          caf::result<reply<std::uint64_t>>(
              place_atom, replica_order, service_api),  // answers the replica's number
          caf::result<void>(drain_atom, std::uint64_t, std::uint32_t),
          caf::result<done>(gates_atom, std::string, std::vector<gate>),
          caf::result<void>(event_atom, replica_event),
          caf::result<std::vector<worker_row>>(ps_atom, std::string),
          caf::result<std::vector<verbs::counter_row>>(stats_atom, std::string),
          caf::result<call_fate>(fate_atom, std::uint64_t, std::uint64_t, std::uint64_t),
          caf::result<std::vector<verbs::log_row>>(logs_atom, std::string, std::uint32_t),
          caf::result<void>(follow_atom, std::uint64_t, std::string),
          caf::result<void>(forget_atom, std::uint64_t),
          caf::result<void>(logs_atom, std::uint64_t, std::vector<verbs::log_row>),
          caf::result<cluster_facts>(facts_atom),
          caf::result<void>(stop_atom)>;

/// Followers, gates and routes of one name.
using name_api =
    typed<caf::result<void>(version_atom, version_info),
          caf::result<done>(flips_atom,
                            std::vector<tag_flip>),  // answered when no call can start on what left
          caf::result<void>(ready_atom, std::uint32_t, std::vector<verbs::endpoint>),
          caf::result<reply<verbs::route>>(bind_atom, bind_request),
          caf::result<void>(forget_atom, std::uint64_t),
          caf::result<reply<prepared>>(prepare_atom, prepare),
          caf::result<done>(restart_atom, std::uint32_t),
          caf::result<done>(scale_atom, std::uint32_t, std::uint32_t),
          caf::result<void>(stop_atom)>;

/// The names plane.
using registry_api =
    typed<caf::result<reply<registry::outcome>>(commit_atom, registry::request),
          caf::result<reply<found_ref>>(find_atom, std::string),
          caf::result<done, name_api>(open_atom, std::string),
          caf::result<std::vector<verbs::name_row>>(list_atom, std::string),
          caf::result<reply<verbs::described>>(describe_atom, std::string),
          caf::result<reply<verbs::changes>>(history_atom, std::string, std::string, std::uint32_t),
          caf::result<reply<verbs::pointed>>(past_atom, past_request),
          caf::result<void>(watch_atom, watch_request),
          caf::result<void>(forget_atom, std::uint64_t),
          caf::result<void>(taken_atom, std::uint64_t, std::uint64_t),
          caf::result<registry_facts>(facts_atom),
          caf::result<void>(commit_atom, done),  // from its store: the batch in flight is written
          caf::result<void>(stop_atom)>;

/// Every verb of every connection.
using control_api =
    typed<caf::result<void>(ask_atom, control_request),
          caf::result<void>(cancel_atom, std::uint64_t, std::uint64_t),  // connection, call
          caf::result<void>(taken_atom,
                            std::uint64_t,
                            std::uint64_t,
                            std::uint32_t),  // connection, call, items welcome
          caf::result<void>(gone_atom, std::uint64_t),
          caf::result<void>(route_atom, std::uint64_t, verbs::route),
          caf::result<void>(watch_atom, watch_rows),
          caf::result<void>(logs_atom, std::uint64_t, std::vector<verbs::log_row>),
          caf::result<void>(stop_atom)>;

}  // namespace berth::actors
