#pragma once
// Messages: everything actors say to each other, and the typed interfaces they answer.
//
// Names and field orders are frozen: they go over the mesh. Fields are only added at the end, message types only at the
// end of the block. No message holds a raw floating point field or more than `message_bytes_max`.

#include "actors/caf_layer.hpp"
#include "actors/cluster_state.hpp"
#include "actors/control_state.hpp"
#include "actors/name_state.hpp"
#include "actors/worker_host.hpp"
#include "registry/names.hpp"

#include <berth/error.hpp>

namespace berth {
BERTH_MESSAGE(error_info, kind, code, message, trail, retry_after_ms, detail, detail_type)
}

namespace berth::registry {
BERTH_MESSAGE(part, version, weight)
BERTH_MESSAGE(version_facts, number, digest, manifest, signatures, idempotent, concurrency, commit)
BERTH_MESSAGE(bound_caller, who, name, tag, method, signature)
BERTH_MESSAGE(publish_request, name, kind, facts)
BERTH_MESSAGE(one_flip, name, tag, split, expect_revision)
BERTH_MESSAGE(flip_request, flips, bound, force)
BERTH_MESSAGE(rollback_request, name, tag, to_revision, bound, force)
BERTH_MESSAGE(yank_request, name, version, undo)
BERTH_MESSAGE(request, id, who, why, what)
BERTH_MESSAGE(flip_fact, name, tag, before, after, revision, revision_before)
BERTH_MESSAGE(outcome, revision, version, existed, flips)
}  // namespace berth::registry

namespace berth::client::verbs {
BERTH_MESSAGE(part, version, weight)
BERTH_MESSAGE(endpoint, target, pid)
BERTH_MESSAGE(served, version, weight, digest, signatures, idempotent, concurrency, replicas)
BERTH_MESSAGE(route, name, tag, revision, tag_slot, versions, layout)
BERTH_MESSAGE(change, revision, at, who, what, name, tag, before, after, why)
BERTH_MESSAGE(changes, rows, cut)
BERTH_MESSAGE(pointed, revision, split)
BERTH_MESSAGE(tag_row, tag, revision, split)
BERTH_MESSAGE(name_row, name, kind, signature, versions, replicas, tags)
BERTH_MESSAGE(version_row,
              version,
              digest,
              signature,
              published_at,
              published_by,
              why,
              commit,
              yanked,
              replicas,
              manifest)
BERTH_MESSAGE(described, name, versions)
BERTH_MESSAGE(counter_row, caller, ref, version, outcome, calls)
BERTH_MESSAGE(log_row, at, worker, name, version, call, stream, line, skipped)
}  // namespace berth::client::verbs

namespace berth::actors {
BERTH_MESSAGE(gate, slot, revision)
BERTH_MESSAGE(version_info, number, digest, manifest, signatures, idempotent, concurrency)
BERTH_MESSAGE(tag_flip, tag, revision, split, layout)
BERTH_MESSAGE(follower, tag, version, who, method, signature)
BERTH_MESSAGE(service_claims, tagged, followers, replicas)
BERTH_MESSAGE(node_facts, uuid, host, pid, cpus)
BERTH_MESSAGE(caller_facts, program, pid, uid)
BERTH_MESSAGE(replica_order,
              replica,
              name,
              version,
              digest,
              manifest,
              concurrency,
              credits,
              health_ms_max,
              gates)
BERTH_MESSAGE(replica_event, replica, happened, pid, load_us, health_us, why)
BERTH_MESSAGE(
    worker_row, replica, pid, name, version, state, up_ms, calls, links, memory_kib, last_death)
BERTH_MESSAGE(call_fate, fate, ended, death)

/// An answer: `what` means something when there is no `why`.
template <class T>
struct reply {
  std::optional<error_info> why;
  T what{};

  reply() = default;

  reply(T value) : what(std::move(value)) {}  // NOLINT(google-explicit-constructor)

  reply(error_info problem) : why(std::move(problem)) {}  // NOLINT(google-explicit-constructor)

  reply(result<T> r) {  // NOLINT(google-explicit-constructor)
    if (r)
      what = *std::move(r);
    else
      why = std::move(r).error();
  }
};

template <class Inspector, class T>
typename Inspector::result_type inspect(Inspector& f, reply<T>& x) {
  return f(caf::meta::type_name("reply"), x.why, x.what);
}

/// An answer without a value.
struct done {
  std::optional<error_info> why;
};
BERTH_MESSAGE(done, why)

/// How a service became ready.
struct readiness {
  std::uint64_t load_us = 0;
  std::uint64_t health_us = 0;
  friend bool operator==(const readiness&, const readiness&) = default;
};
BERTH_MESSAGE(readiness, load_us, health_us)

/// Versions of a name that must be able to answer before something is decided; tells who is bound to `tags` meanwhile.
struct prepare {
  std::vector<std::uint32_t> versions;
  std::vector<std::string> tags;
  std::uint32_t replicas = 0;  ///< 0: at least one each; else as many are wanted from now on
  std::uint32_t wait_ms = 10000;
};
BERTH_MESSAGE(prepare, versions, tags, replicas, wait_ms)

struct prepared {
  std::vector<registry::bound_caller> bound;
  readiness ready;
};
BERTH_MESSAGE(prepared, bound, ready)

/// Binds a parsed ref. `key` 0: nothing is followed.
struct bind_request {
  std::uint64_t key = 0;
  follower who;
  std::uint32_t wait_ms = 10000;
};
BERTH_MESSAGE(bind_request, key, who, wait_ms)

/// A parsed and resolved ref.
struct found_ref {
  std::string name;
  std::string method;
  std::string tag;  ///< empty when pinned
  std::vector<std::uint32_t> versions;
};
BERTH_MESSAGE(found_ref, name, method, tag, versions)

/// A question about the past of a tag.
struct past_request {
  std::string name;
  std::string tag;
  std::int64_t at_us = 0;  ///< used without `revision`
  std::optional<std::uint64_t> revision;
};
BERTH_MESSAGE(past_request, name, tag, at_us, revision)

struct watch_request {
  std::uint64_t key = 0;
  std::string prefix;
  std::uint64_t from_revision = 0;
};
BERTH_MESSAGE(watch_request, key, prefix, from_revision)

struct watch_rows {
  std::uint64_t key = 0;
  std::vector<verbs::change> rows;
  std::uint64_t last = 0;
  bool cut = false;
};
BERTH_MESSAGE(watch_rows, key, rows, last, cut)

/// One request of a connection: the verb's word and its arguments, encoded.
struct control_request {
  std::uint64_t connection = 0;
  std::uint64_t call = 0;
  caller_facts caller;
  blob body;
};
BERTH_MESSAGE(control_request, connection, call, caller, body)

struct registry_facts {
  std::uint64_t revision = 0;
  std::uint32_t names = 0;
};
BERTH_MESSAGE(registry_facts, revision, names)

struct cluster_facts {
  std::uint32_t nodes = 0;
  std::uint32_t workers = 0;
};
BERTH_MESSAGE(cluster_facts, nodes, workers)

}  // namespace berth::actors
