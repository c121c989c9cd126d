#include "actors/actors.hpp"
#include "actors/asking.hpp"
#include "actors/time_text.hpp"
#include "registry/ref.hpp"
#include "registry/watch.hpp"

#include <fmt/format.h>

namespace berth::actors {
namespace {

using registry::change_op;

struct registry_data {
  std::unique_ptr<registry::names_state> names;
  registry::store* store = nullptr;
  replica_counts* counts = nullptr;
  asking asks;
  cluster_api cluster;
  std::map<std::uint64_t, caf::typed_response_promise<reply<registry::outcome>>> asked;
  std::uint64_t last_ticket = 0;
  std::map<std::string, name_api> open;
  registry::watch_hub watchers;
  std::map<std::uint64_t, caf::strong_actor_ptr> sinks;  ///< of watchers
};

using self_pointer = registry_api::stateful_pointer<registry_data>;

// --- words of the registry as words of the wire ------------------------------------------------------------------------

std::vector<verbs::part> parts_of(const std::vector<registry::part>& from) {
  std::vector<verbs::part> out;
  for (const auto& one : from)
    out.push_back({one.version, one.weight});
  return out;
}

verbs::change change_of(const registry::change& c) {
  return {c.revision,         time_text(c.at),   c.who, std::string(to_string(c.op)), c.name, c.tag,
          parts_of(c.before), parts_of(c.after), c.why};
}

tag_flip flip_of(const registry::change& c) {
  return {c.tag, c.revision, parts_of(c.after), c.layout.to_string()};
}

version_info info_of(const registry::version_facts& v) {
  return {v.number, v.digest, v.manifest, v.signatures, v.idempotent, v.concurrency};
}

verbs::name_row row_of(const registry::name_record& record) {
  verbs::name_row row;
  row.name = record.name;
  row.kind = record.kind == registry::name_kind::function ? "function" : "class";
  row.versions = static_cast<std::uint32_t>(record.versions.size());
  auto shown = record.versions.size();
  for (const auto& [tag, where] : record.tags) {
    row.tags.push_back({tag, where.revision, parts_of(where.split)});
    if (tag == "latest") shown = where.split.back().version;
  }
  if (shown > 0) row.signature = record.versions[shown - 1].facts->signatures;
  return row;
}

// --- name actors -------------------------------------------------------------------------------------------------------

name_api open_name(self_pointer self, const registry::name_record& record) {
  auto& data = self->state;
  if (auto found = data.open.find(record.name); found != data.open.end()) return found->second;
  std::vector<version_info> versions;
  for (const auto& one : record.versions)
    versions.push_back(info_of(*one.facts));
  std::vector<tag_flip> tags;
  for (const auto& [tag, where] : record.tags)
    tags.push_back({tag, where.revision, parts_of(where.split), where.layout.to_string()});
  auto made = spawn_name(self->home_system(), data.cluster, record.name, std::move(versions),
                         std::move(tags), data.counts);
  data.open.emplace(record.name, made);
  return made;
}

/// Tells the name actors what was committed; `then` runs when no call can start on what left any tag.
void tell_names(self_pointer self,
                const std::vector<registry::change>& flips,
                std::function<void()> then) {
  std::map<std::string, std::vector<tag_flip>> by_name;
  for (const auto& c : flips)
    by_name[c.name].push_back(flip_of(c));
  auto left = std::make_shared<std::size_t>(by_name.size());
  auto one = [left, then = std::move(then)] {
    if (--*left == 0) then();
  };
  for (const auto& [name, rows] : by_name) {
    bool was_open = self->state.open.contains(name);
    auto actor = open_name(self, **self->state.names->find(name));
    if (!was_open) {  // it has read the flips with everything else
      one();
      continue;
    }
    self->state.asks.ask<done>(
        self, actor, [one](done&) { one(); }, [one](const error_info&) { one(); }, flips_atom_v,
        rows);
  }
}

// --- committing --------------------------------------------------------------------------------------------------------

void settle(self_pointer self, std::uint64_t ticket, reply<registry::outcome> answer) {
  auto found = self->state.asked.find(ticket);
  if (found == self->state.asked.end()) return;
  found->second.deliver(std::move(answer));
  self->state.asked.erase(found);
}

void push_watchers(self_pointer self) {
  auto& data = self->state;
  for (auto& push : data.watchers.pump(data.names->log())) {
    auto sink = data.sinks.find(push.watcher);
    if (sink == data.sinks.end()) continue;
    watch_rows rows{push.watcher, {}, push.last, push.cut};
    for (const auto& c : push.rows)
      rows.rows.push_back(change_of(c));
    caf::anon_send(caf::actor_cast<caf::actor>(sink->second), watch_atom_v, std::move(rows));
    if (push.cut) data.sinks.erase(sink);
  }
}

void spread(self_pointer self, registry::names_state::commit_result what) {
  auto& data = self->state;
  for (const auto& row : what.rows)
    if (row.change.op == change_op::publish)
      if (auto found = data.open.find(row.change.name); found != data.open.end())
        self->send(found->second, version_atom_v, info_of(*row.facts));
  auto first = what.rows.empty() ? 0 : what.rows.front().change.revision;
  for (auto& one : what.answers) {
    auto ticket = one.ticket;
    reply<registry::outcome> answer(std::move(one.what));
    std::vector<registry::change> flips;
    for (const auto& flip : answer.what.flips)
      if (!answer.why && first != 0 && flip.revision >= first)
        flips.push_back(what.rows[flip.revision - first].change);
    if (flips.empty())
      settle(self, ticket, std::move(answer));
    else
      tell_names(self, flips, [self, ticket, answer] { settle(self, ticket, answer); });
  }
  push_watchers(self);
}

void pump(self_pointer self) {
  auto& data = self->state;
  auto now = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  while (auto batch = data.names->next_batch(now.count())) {
    if (batch->empty()) {
      spread(self, data.names->committed());
      continue;
    }
    data.store->append(*std::move(batch), [me = registry_api(self)](result<void> ok) {
      caf::anon_send(me, commit_atom_v, ok ? done{} : done{ok.error()});
    });
    return;
  }
}

void written(self_pointer self, const done& ok) {
  auto& data = self->state;
  if (!ok.why) {
    spread(self, data.names->committed());
  } else {
    for (auto& one : data.names->refused(*ok.why))
      settle(self, one.ticket, std::move(one.what));
  }
  pump(self);
}

// --- reading -----------------------------------------------------------------------------------------------------------

reply<found_ref> find(self_pointer self, const std::string& text) {
  auto parsed = registry::parse_ref(text);
  if (!parsed) return std::move(parsed).error();
  auto resolved = self->state.names->resolve(*parsed);
  if (!resolved) return std::move(resolved).error();
  found_ref out{resolved->name, resolved->method, resolved->tag, {}};
  for (const auto& one : resolved->parts)
    out.versions.push_back(one.version.facts->number);
  return out;
}

reply<verbs::described> describe(self_pointer self, const std::string& text) {
  auto ref = find(self, text);
  // A name can be described before it has the tag `latest`.
  auto name = ref.why ? text.substr(0, text.find('@')) : ref.what.name;
  auto found = self->state.names->find(name);
  if (!found) return ref.why ? *ref.why : std::move(found).error();
  if (ref.why && text.find('@') != text.npos) return *ref.why;
  verbs::described out;
  out.name = row_of(**found);
  bool all = ref.why || text.find('@') == text.npos;
  for (const auto& one : (*found)->versions) {
    const auto& v = *one.facts;
    if (!all
        && std::find(ref.what.versions.begin(), ref.what.versions.end(), v.number)
               == ref.what.versions.end())
      continue;
    const auto& row = self->state.names->log()[one.revision - 1];
    out.versions.push_back({v.number, v.digest, v.signatures, time_text(row.at), row.who, row.why,
                            v.commit, one.yanked, 0, v.manifest});
  }
  return out;
}

reply<verbs::changes> history(self_pointer self,
                              const std::string& name,
                              const std::string& tag,
                              std::uint32_t limit) {
  auto page = self->state.names->history(name, tag, std::min<std::uint32_t>(limit, 10000));
  if (!page) return std::move(page).error();
  verbs::changes out;
  out.cut = page->cut;
  for (const auto& c : page->rows)
    out.rows.push_back(change_of(c));
  return out;
}

reply<verbs::pointed> past(self_pointer self, const past_request& what) {
  auto& names = *self->state.names;
  auto at = what.revision ? names.at_revision(what.name, what.tag, *what.revision)
                          : names.at_time(what.name, what.tag, what.at_us);
  if (!at) return std::move(at).error();
  return verbs::pointed{at->revision, parts_of(at->split)};
}

registry_api::behavior_type registry_behavior(
    self_pointer self,
    cluster_api cluster,
    std::shared_ptr<std::unique_ptr<registry::names_state>> names,
    registry::store* store,
    replica_counts* counts) {
  auto& data = self->state;
  data.names = std::move(*names);
  data.store = store;
  data.counts = counts;
  data.cluster = std::move(cluster);
  self->set_down_handler([self](caf::down_msg& what) { self->state.asks.down(what.source); });
  // What a tag points to lives: the cluster starts it with itself.
  for (const auto& record : data.names->list(""))
    if (!record->tags.empty()) open_name(self, *record);
  return {
      [self](commit_atom, const registry::request& what) -> caf::result<reply<registry::outcome>> {
        auto promise = self->make_response_promise<reply<registry::outcome>>();
        auto ticket = ++self->state.last_ticket;
        self->state.asked.emplace(ticket, promise);
        self->state.names->submit(ticket, what);
        pump(self);
        return promise;
      },
      [self](find_atom, const std::string& ref) { return find(self, ref); },
      [self](open_atom, const std::string& name) -> caf::result<done, name_api> {
        auto found = self->state.names->find(name);
        if (!found) return {done{found.error()}, name_api{}};
        return {done{}, open_name(self, **found)};
      },
      [self](list_atom, const std::string& prefix) {
        std::vector<verbs::name_row> rows;
        for (const auto& one : self->state.names->list(prefix))
          rows.push_back(row_of(*one));
        return rows;
      },
      [self](describe_atom, const std::string& ref) { return describe(self, ref); },
      [self](history_atom, const std::string& name, const std::string& tag, std::uint32_t limit) {
        return history(self, name, tag, limit);
      },
      [self](past_atom, const past_request& what) { return past(self, what); },
      [self](watch_atom, const watch_request& what) {
        self->state.sinks[what.key] = self->current_sender();
        const auto from =
            what.from_revision == 0 ? self->state.names->revision() + 1 : what.from_revision;
        self->state.watchers.add(what.key, what.prefix, from);
        push_watchers(self);
      },
      [self](forget_atom, std::uint64_t key) {
        self->state.watchers.remove(key);
        self->state.sinks.erase(key);
      },
      [self](taken_atom, std::uint64_t key, std::uint64_t rows) {
        self->state.watchers.taken(key, rows);
        push_watchers(self);
      },
      [self](facts_atom) {
        return registry_facts{self->state.names->revision(),
                              static_cast<std::uint32_t>(self->state.names->list("").size())};
      },
      [self](commit_atom, const done& ok) { written(self, ok); },
      [self](stop_atom) {
        for (const auto& [name, actor] : self->state.open)
          self->send(actor, stop_atom_v);
        self->quit();
      },
  };
}

}  // namespace

registry_api spawn_registry(caf::actor_system& system,
                            cluster_api cluster,
                            std::unique_ptr<registry::names_state> names,
                            registry::store& store,
                            replica_counts* counts) {
  // Arguments of a spawn are copied; the state machine itself is not copyable.
  auto carried = std::make_shared<std::unique_ptr<registry::names_state>>(std::move(names));
  return system.spawn(registry_behavior, std::move(cluster), std::move(carried), &store, counts);
}

}  // namespace berth::actors
