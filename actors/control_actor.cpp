#include "actors/control_core.hpp"
#include "registry/ref.hpp"
#include "runtime/client/control_message.hpp"

#include <cstring>
#include <fmt/format.h>

namespace berth::actors {
namespace control {

void release(self_pointer self, const open_request& one) {
  auto& data = self->state;
  data.credits.erase(one.key);
  switch (one.what) {
    case holding::nothing:
      break;
    case holding::route:
      data.asks.ask<done, name_api>(
          self, data.registry,
          [self, key = one.key](done& ok, name_api& actor) {
            if (!ok.why) self->send(actor, forget_atom_v, key);
          },
          [](const error_info&) {}, open_atom_v, one.name);
      break;
    case holding::watch:
      self->send(data.registry, forget_atom_v, one.key);
      break;
    case holding::logs:
      self->send(data.cluster, forget_atom_v, one.key);
      break;
  }
}

namespace {

void ask(self_pointer self, const std::map<std::string, verb>& table, const control_request& what) {
  auto& data = self->state;
  asked one{self, data.requests.begin(what.connection, what.call), what.caller, clock::now()};
  auto request = client::decode_request(std::as_bytes(std::span(what.body.data)));
  if (!request) return one.refuse(std::move(request).error());
  auto found = table.find(request->verb);
  if (found == table.end()) {
    std::vector<std::string_view> words;
    for (const auto& [word, run] : table)
      words.push_back(word);
    auto near = registry::nearest(request->verb, words);
    return one.refuse(berth::fail(
        kind::invalid, "unknown_verb",
        fmt::format("this head does not know '{}'{}; it may be older than the program that asks",
                    request->verb.substr(0, 64), near.empty() ? "" : ", but '" + near + "'")));
  }
  found->second(one, request->args);
}

void on_rows(self_pointer self, const watch_rows& rows) {
  asked one{self, rows.key, {}, clock::now()};
  for (const auto& row : rows.rows)
    one.push(row);
  if (!rows.cut) return;
  one.refuse(
      berth::fail(kind::overloaded, "too_slow",
                  fmt::format("this watcher fell too far behind; watch again from revision {}",
                              rows.last + 1)));
}

/// A reader of logs gets what it has room for; the rest is counted.
void on_logs(self_pointer self, std::uint64_t key, std::vector<verbs::log_row> rows) {
  asked one{self, key, {}, clock::now()};
  auto found = self->state.credits.find(key);
  if (found == self->state.credits.end()) return;
  auto& credit = found->second;
  for (auto& row : rows) {
    if (credit.left == 0) {
      credit.skipped += 1 + row.skipped;
      continue;
    }
    row.skipped += std::exchange(credit.skipped, 0);
    --credit.left;
    one.push(row);
  }
}

void on_taken(self_pointer self, std::uint64_t connection, std::uint64_t call, std::uint32_t n) {
  const auto* one = self->state.requests.find(connection, call);
  if (one == nullptr) return;
  if (one->what == holding::watch)
    self->send(self->state.registry, taken_atom_v, one->key, std::uint64_t{n});
  if (auto found = self->state.credits.find(one->key); found != self->state.credits.end())
    found->second.left = std::min<std::uint32_t>(found->second.left + n, 65536);
}

control_api::behavior_type behavior(self_pointer self,
                                    registry_api registry,
                                    cluster_api cluster,
                                    control_port* port,
                                    head_services* services) {
  auto& data = self->state;
  data.registry = std::move(registry);
  data.cluster = std::move(cluster);
  data.port = port;
  data.services = services;
  self->set_down_handler([self](caf::down_msg& what) { self->state.asks.down(what.source); });
  auto table = std::make_shared<std::map<std::string, verb>>();
  add_reading_verbs(*table);
  add_flipping_verbs(*table);
  return {
      [self, table](ask_atom, const control_request& what) { ask(self, *table, what); },
      [self](cancel_atom, std::uint64_t connection, std::uint64_t call) {
        auto one = self->state.requests.cancel(connection, call);
        if (!one) return;
        release(self, *one);
        self->state.port->fail(
            connection, call, berth::fail(kind::cancelled, "cancelled", "cancelled by the caller"));
      },
      [self](taken_atom, std::uint64_t connection, std::uint64_t call, std::uint32_t n) {
        on_taken(self, connection, call, n);
      },
      [self](gone_atom, std::uint64_t connection) {
        for (const auto& one : self->state.requests.gone(connection))
          release(self, one);
      },
      [self](route_atom, std::uint64_t key, const verbs::route& route) {
        asked one{self, key, {}, clock::now()};
        one.push(route);
      },
      [self](watch_atom, const watch_rows& rows) { on_rows(self, rows); },
      [self](logs_atom, std::uint64_t key, const std::vector<verbs::log_row>& rows) {
        on_logs(self, key, rows);
      },
      [self](stop_atom) { self->quit(); },
  };
}

}  // namespace

std::string printed(std::string_view encoded) {
  auto all = decode_signatures(encoded);
  if (!all) return "(a signature this release cannot read)";
  std::string text;
  for (const auto& one : *all) {
    if (!text.empty()) text += "\n";
    text += (one.method.empty() ? "" : one.method + ": ") + to_string(one);
  }
  return text;
}

}  // namespace control

control_api spawn_control(caf::actor_system& system,
                          registry_api registry,
                          cluster_api cluster,
                          control_port& port,
                          head_services& services) {
  return system.spawn(control::behavior, std::move(registry), std::move(cluster), &port, &services);
}

}  // namespace berth::actors
