// Verbs that read, and those that act on workers.

#include "actors/control_core.hpp"
#include "actors/time_text.hpp"
#include "registry/ref.hpp"

#include <charconv>
#include <fmt/format.h>

namespace berth::actors::control {
namespace {

// --- binding -----------------------------------------------------------------------------------------------------------

void resolve(const asked& one, verbs::resolve what) {
  auto bound = [one, what](found_ref& found) {
    bind_request request;
    request.wait_ms = what.wait_ms;
    request.who.tag = found.tag;
    request.who.version = found.tag.empty() ? found.versions.front() : 0;
    request.who.who = to_string(one.who);
    request.who.method = what.method.empty() ? found.method : what.method;
    request.who.signature = what.signature;
    if (what.follow) {
      if (!one.data().requests.hold(one.key, holding::route, found.name)) return;
      request.key = one.key;
    }
    with_name(one, found.name, [one, request](name_api actor) {
      if (!one.wanted()) return;
      step<verbs::route>(
          one, actor,
          [one, request](verbs::route& route) {
            if (request.key != 0)
              one.push(route);
            else
              one.reply(route);
          },
          bind_atom_v, request);
    });
  };
  step<found_ref>(one, one.data().registry, bound, find_atom_v, what.ref);
}

/// The replica's number in "worker:12".
std::optional<std::uint64_t> replica_of(std::string_view target) {
  constexpr std::string_view mark = "worker:";
  if (!target.starts_with(mark)) return std::nullopt;
  target.remove_prefix(mark.size());
  std::uint64_t number = 0;
  auto [end, problem] = std::from_chars(target.data(), target.data() + target.size(), number);
  if (problem != std::errc{} || end != target.data() + target.size()) return std::nullopt;
  return number;
}

void fate(const asked& one, verbs::fate what) {
  auto replica = replica_of(what.target);
  if (!replica)
    return one.refuse(berth::fail(kind::invalid, "bad_target",
                                  "'" + what.target.substr(0, 64) + "' names no worker"));
  one.data().asks.ask<call_fate>(
      one.self, one.data().cluster,
      [one](call_fate& f) {
        one.reply(verbs::fated{f.fate, f.ended, f.death});
      },
      one.refusing(), fate_atom_v, *replica, what.link, what.call);
}

// --- content -----------------------------------------------------------------------------------------------------------

void blobs_missing(const asked& one, verbs::blobs_missing what) {
  std::vector<store::digest> wanted;
  for (const auto& text : what.digests) {
    auto digest = store::digest::from_hex(text);
    if (!digest) return one.refuse(std::move(digest).error());
    wanted.push_back(*digest);
  }
  verbs::blobs out;
  for (const auto& digest : one.data().services->blobs->missing(wanted))
    out.digests.push_back(digest.hex());
  one.reply(out);
}

void upload(const asked& one, verbs::upload what) {
  auto digest = store::digest::from_hex(what.digest);
  if (!digest) return one.refuse(std::move(digest).error());
  auto state = one.data().services->blobs->upload(*digest, what.offset, what.total, what.bytes);
  if (!state)
    return one.refuse(std::move(state).error().at("while storing a piece of " + what.digest));
  one.reply(verbs::done{
      state->complete ? "complete" : fmt::format("{} of {} bytes", state->received, what.total)});
}

// --- looking -----------------------------------------------------------------------------------------------------------

/// Replicas that are ready, by name and version.
using replica_counts = std::map<std::pair<std::string, std::uint32_t>, std::uint32_t>;

void with_counts(const asked& one,
                 const std::string& prefix,
                 std::function<void(const replica_counts&)> then) {
  one.data().asks.ask<std::vector<worker_row>>(
      one.self, one.data().cluster,
      [then](std::vector<worker_row>& rows) {
        replica_counts counts;
        for (const auto& row : rows)
          if (row.state == "ready") ++counts[{row.name, row.version}];
        then(counts);
      },
      one.refusing(), ps_atom_v, prefix);
}

void ls(const asked& one, verbs::ls what) {
  one.data().asks.ask<std::vector<verbs::name_row>>(
      one.self, one.data().registry,
      [one, prefix = what.prefix](std::vector<verbs::name_row>& found) {
        with_counts(one, prefix, [one, rows = found](const replica_counts& counts) {
          verbs::names out{rows};
          for (auto& row : out.rows) {
            row.signature = printed(row.signature);
            for (const auto& [version, n] : counts)
              if (version.first == row.name) row.replicas += n;
          }
          one.reply(out);
        });
      },
      one.refusing(), list_atom_v, what.prefix);
}

void describe(const asked& one, verbs::describe what) {
  step<verbs::described>(
      one, one.data().registry,
      [one](verbs::described& found) {
        with_counts(one, found.name.name, [one, out = found](const replica_counts& counts) mutable {
          out.name.signature = printed(out.name.signature);
          for (auto& row : out.versions) {
            row.signature = printed(row.signature);
            if (auto n = counts.find({out.name.name, row.version}); n != counts.end())
              row.replicas = n->second;
            out.name.replicas += row.replicas;
          }
          one.reply(out);
        });
      },
      describe_atom_v, what.ref);
}

void history(const asked& one, verbs::history what) {
  step<verbs::changes>(
      one, one.data().registry, [one](verbs::changes& rows) { one.reply(rows); }, history_atom_v,
      what.name, what.tag, what.limit);
}

void at(const asked& one, verbs::at what) {
  past_request past{what.name, what.tag, 0, what.revision};
  if (!what.revision) {
    auto when = parse_time(what.time);
    if (!when) return one.refuse(std::move(when).error());
    past.at_us = *when;
  }
  step<verbs::pointed>(
      one, one.data().registry, [one](verbs::pointed& found) { one.reply(found); }, past_atom_v,
      past);
}

void watch(const asked& one, verbs::watch what) {
  if (!one.data().requests.hold(one.key, holding::watch)) return;
  one.self->send(one.data().registry, watch_atom_v,
                 watch_request{one.key, what.prefix, what.from_revision});
}

void ps(const asked& one, verbs::ps what) {
  one.data().asks.ask<std::vector<worker_row>>(
      one.self, one.data().cluster,
      [one](std::vector<worker_row>& rows) {
        verbs::processes out;
        for (const auto& row : rows)
          out.rows.push_back({fmt::format("worker:{}", row.replica), row.pid, row.name, row.version,
                              row.state, static_cast<double>(row.up_ms) / 1000, row.calls,
                              row.links, row.memory_kib, row.last_death});
        one.reply(out);
      },
      one.refusing(), ps_atom_v, what.prefix);
}

void stats(const asked& one, verbs::stats what) {
  one.data().asks.ask<std::vector<verbs::counter_row>>(
      one.self, one.data().cluster,
      [one](std::vector<verbs::counter_row>& rows) { one.reply(verbs::counters{rows}); },
      one.refusing(), stats_atom_v, what.prefix);
}

void status(const asked& one, verbs::status) {
  auto& data = one.data();
  data.asks.ask<registry_facts>(
      one.self, data.registry,
      [one](registry_facts& names) {
        one.data().asks.ask<cluster_facts>(
            one.self, one.data().cluster,
            [one, names](cluster_facts& cluster) {
              auto out = one.data().services->facts;
              out.up_s = std::chrono::duration<double>(clock::now() - one.data().services->started)
                             .count();
              out.names = names.names;
              out.revision = names.revision;
              out.workers = cluster.workers;
              one.reply(out);
            },
            one.refusing(), facts_atom_v);
      },
      one.refusing(), facts_atom_v);
}

void logs(const asked& one, verbs::logs what) {
  // New lines first, older ones before them: a line between the two may come twice, none is missed.
  if (what.follow) {
    if (!one.data().requests.hold(one.key, holding::logs)) return;
    one.data().credits.emplace(one.key, follow_credit{});
    one.self->send(one.data().cluster, follow_atom_v, one.key, what.prefix);
  }
  one.data().asks.ask<std::vector<verbs::log_row>>(
      one.self, one.data().cluster,
      [one, what](std::vector<verbs::log_row>& rows) {
        if (!what.follow) return one.reply(verbs::log_rows{rows});
        for (const auto& row : rows)
          one.push(row);
      },
      one.refusing(), logs_atom_v, what.prefix, what.lines);
}

// --- workers -----------------------------------------------------------------------------------------------------------

constexpr std::uint32_t restart_ms_max = 60000;

void restart(const asked& one, verbs::restart what) {
  with_name(one, what.name, [one, name = what.name](name_api actor) {
    one.data().asks.ask<done>(
        one.self, actor,
        [one, name](done& ok) {
          if (ok.why) return one.refuse(*ok.why);
          one.reply(verbs::done{fmt::format("every replica of {} is new", name)});
        },
        one.refusing(), restart_atom_v, restart_ms_max);
  });
}

void scale(const asked& one, verbs::scale what) {
  constexpr std::uint32_t replicas_max = 256;
  if (what.replicas == 0 || what.replicas > replicas_max)
    return one.refuse(berth::fail(kind::invalid, "bad_replicas",
                                  fmt::format("a version has 1 to {} replicas", replicas_max)));
  with_name(one, what.name, [one, what](name_api actor) {
    one.data().asks.ask<done>(
        one.self, actor,
        [one, what](done& ok) {
          if (ok.why) return one.refuse(*ok.why);
          one.reply(verbs::done{
              fmt::format("{}@{} has {} replicas", what.name, what.version, what.replicas)});
        },
        one.refusing(), scale_atom_v, what.version, what.replicas);
  });
}

void down(const asked& one, verbs::down what) {
  one.reply(verbs::done{"the cluster ends"});
  if (one.data().services->shut_down)
    one.data().services->shut_down(std::chrono::milliseconds(what.drain_ms));
}

}  // namespace

void add_reading_verbs(std::map<std::string, verb>& table) {
  table["resolve"] = verb_of<verbs::resolve>(resolve);
  table["fate"] = verb_of<verbs::fate>(fate);
  table["blobs_missing"] = verb_of<verbs::blobs_missing>(blobs_missing);
  table["upload"] = verb_of<verbs::upload>(upload);
  table["ls"] = verb_of<verbs::ls>(ls);
  table["describe"] = verb_of<verbs::describe>(describe);
  table["history"] = verb_of<verbs::history>(history);
  table["at"] = verb_of<verbs::at>(at);
  table["watch"] = verb_of<verbs::watch>(watch);
  table["ps"] = verb_of<verbs::ps>(ps);
  table["stats"] = verb_of<verbs::stats>(stats);
  table["status"] = verb_of<verbs::status>(status);
  table["logs"] = verb_of<verbs::logs>(logs);
  table["restart"] = verb_of<verbs::restart>(restart);
  table["scale"] = verb_of<verbs::scale>(scale);
  table["down"] = verb_of<verbs::down>(down);
}

}  // namespace berth::actors::control
