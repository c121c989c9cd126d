#pragma once
// Verbs: every request the head's control actor answers, each a plain aggregate.
//
// They travel as self-describing values in `Request{verb, args}` (runtime/wire/control.capnp): the verb's word is the
// name of its struct. One definition serves client, command line and head; `-o json` prints the replies as they are,
// so fields are only ever added at the end.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace berth::client::verbs {

/// One version's share of a tag; weights of a split add up to 10000.
struct part {
  std::uint32_t version = 0;
  std::uint32_t weight = 0;
};

/// A live replica a client can link to. `target` goes into the preamble of the node socket ("worker:12").
struct endpoint {
  std::string target;
  std::int64_t pid = 0;
};

/// What a client needs of one version: what it answers to, and where it lives now.
struct served {
  std::uint32_t version = 0;
  std::uint32_t weight = 0;  ///< share of the tag, 1/10000; 10000 when pinned
  std::string digest;        ///< of the manifest, 64 hex digits
  std::string signatures;    ///< encoded `berth::signature` by method (runtime/value)
  bool idempotent = false;
  std::uint32_t concurrency = 1;
  std::vector<endpoint> replicas;
};

/// Binds a ref to what stands behind it. A version without live replicas is started before the answer (bounded by
/// `wait_ms`). With `follow` the answer and every later change are pushed as items: the same `route` again, newer
/// revision or other replicas; the request stays open until it is cancelled.
/// Errors: `missing` (with the nearest name), `invalid` ref, `timed_out` when no replica became ready.
struct resolve {
  std::string ref;
  bool follow = false;
  std::uint32_t wait_ms = 10000;
  std::string method;  ///< of a class; empty for a function
  std::string
      signature;  ///< encoded `berth::signature` the caller bound with; empty: whatever there is. While the
                  ///< link lives and `follow` is set, no unforced flip may break it
};

struct route {
  std::string name;
  std::string tag;             ///< empty when pinned
  std::uint64_t revision = 0;  ///< of the tag: goes into each call's header
  std::uint32_t tag_slot = 0;  ///< index of the tag's gate in the worker page
  std::vector<served> versions;
  std::string
      layout;  ///< buckets of the versions, "0-9500:7,9500-10000:8" (registry/split.hpp); empty when pinned
};

/// What became of a call whose worker went away: read from the worker's ledger, which outlives it. Waits (bounded) for
/// the supervisor to say how the worker ended. `link` is the id that the worker gave in its bind reply.
struct fate {
  std::string target;
  std::uint64_t link = 0;
  std::uint64_t call = 0;
};

struct fated {
  std::string fate;    ///< "not_started", "started", "finished" or "unknown"
  bool ended = false;  ///< the worker is known to have ended
  std::string
      death;  ///< how: signal or exit code, version, pid and the last log lines, as a sentence for people
};

/// Which of these content digests the head does not hold yet.
struct blobs_missing {
  std::vector<std::string> digests;
};

struct blobs {
  std::vector<std::string> digests;
};

/// One piece of a blob; the piece that completes it is verified against `digest`. Errors: `invalid` on a mismatch.
struct upload {
  std::string digest;
  std::uint64_t offset = 0;
  std::uint64_t total = 0;
  std::vector<std::byte> bytes;
};

/// Publishes a version: `manifest` is the canonical text (runtime/module/manifest.hpp); every digest in it must be
/// held. The same identity returns the version that has it. Then: start `replicas`, health call, move `latest` and
/// `tag` to it (compare-and-set). Progress lines are pushed while it runs.
struct publish {
  std::string name;
  std::string manifest;
  std::string tag;  ///< besides latest; empty for none
  std::string why;
  std::uint32_t replicas = 1;
  bool force = false;  ///< flip although a bound caller would break
  std::string commit;  ///< of the user's repository, if known
  std::string
      request_id;  ///< a retry with the same id gets the first outcome; empty: not retryable
};

struct published {
  std::string name;
  std::uint32_t version = 0;
  std::string digest;
  bool existed = false;
  std::uint64_t revision = 0;
  double health_ms = 0;
  double flip_ms = 0;
};

struct flip {
  std::string name;
  std::string tag;
  std::vector<part> split;
  std::optional<std::uint64_t> expect_revision;
};

/// Moves tags; several flips are one transaction. Acknowledged when no call can start on what left the tag.
struct tag {
  std::vector<flip> flips;
  std::string why;
  bool force = false;
  std::string request_id;  ///< as in `publish`
};

struct rollback {
  std::string name;
  std::string tag;
  std::optional<std::uint64_t> to_revision;
  std::string why;
  std::string request_id;  ///< as in `publish`
  bool force = false;      ///< flip although a bound caller would break
};

struct flipped {
  std::uint64_t revision = 0;
  std::vector<flip> before;
  std::vector<flip> after;
  double ms = 0;
};

struct yank {
  std::string name;
  std::uint32_t version = 0;
  bool undo = false;
  std::string why;
  std::string request_id;  ///< as in `publish`
};

struct change {
  std::uint64_t revision = 0;
  std::string at;  ///< RFC 3339, microseconds, UTC
  std::string who;
  std::string what;  ///< "publish", "flip", "rollback", "yank", "unyank", "create"
  std::string name;
  std::string tag;
  std::vector<part> before;
  std::vector<part> after;
  std::string why;
};

struct history {
  std::string name;
  std::string tag;  ///< empty: all
  std::uint32_t limit = 100;
};

struct changes {
  std::vector<change> rows;
  bool cut = false;  ///< more rows exist than `limit`
};

/// Where a tag pointed at a time (RFC 3339) or revision.
struct at {
  std::string name;
  std::string tag;
  std::string time;
  std::optional<std::uint64_t> revision;
};

struct pointed {
  std::uint64_t revision = 0;
  std::vector<part> split;
};

/// Pushes every change from `from_revision` on whose name starts with `prefix`, gapless and in order.
struct watch {
  std::string prefix;
  std::uint64_t from_revision = 0;  ///< 0: from now; 1: from the beginning
};

struct ls {
  std::string prefix;
};

struct tag_row {
  std::string tag;
  std::uint64_t revision = 0;
  std::vector<part> split;
};

struct name_row {
  std::string name;
  std::string kind;       ///< "function" or "class"
  std::string signature;  ///< printed
  std::uint32_t versions = 0;
  std::uint32_t replicas = 0;
  std::vector<tag_row> tags;
};

struct names {
  std::vector<name_row> rows;
};

struct describe {
  std::string ref;
};

struct version_row {
  std::uint32_t version = 0;
  std::string digest;
  std::string signature;  ///< printed
  std::string published_at;
  std::string published_by;
  std::string why;
  std::string commit;
  bool yanked = false;
  std::uint32_t replicas = 0;
  std::string manifest;
};

struct described {
  name_row name;
  std::vector<version_row> versions;
};

struct status {};

struct cluster_status {
  std::string cluster;
  std::string version;  ///< of berth
  std::int64_t supervisor_pid = 0;
  std::int64_t head_pid = 0;
  double up_s = 0;
  std::uint32_t names = 0;
  std::uint32_t workers = 0;
  std::uint64_t revision = 0;
  std::string runtime_folder;
  std::string state_folder;
  std::string address;  ///< loopback TCP, "127.0.0.1:port"
  std::string lane;     ///< "ring", or why it is not
  bool embedded = false;
};

struct ps {
  std::string prefix;
};

struct process_row {
  std::string worker;  ///< "worker:12"
  std::int64_t pid = 0;
  std::string name;
  std::uint32_t version = 0;
  std::string state;  ///< starting, ready, draining, ended
  double up_s = 0;
  std::uint64_t calls = 0;
  std::uint32_t links = 0;
  std::uint64_t memory_kib = 0;
  std::string last_death;
};

struct processes {
  std::vector<process_row> rows;
};

struct stats {
  std::string prefix;
};

struct counter_row {
  std::string caller;  ///< program and user, or the calling version
  std::string ref;
  std::uint32_t version = 0;
  std::string outcome;  ///< ok, or a kind's name
  std::uint64_t calls = 0;
};

struct counters {
  std::vector<counter_row> rows;
};

/// Pushes log lines of a name's workers; `lines` older ones first.
struct logs {
  std::string prefix;
  std::uint32_t lines = 20;
  bool follow = false;
};

struct log_row {
  std::string at;
  std::string worker;
  std::string name;
  std::uint32_t version = 0;
  std::uint64_t call = 0;
  std::string stream;  ///< out or err
  std::string line;
  std::uint64_t skipped = 0;  ///< lines lost before this one
};

struct log_rows {
  std::vector<log_row> rows;
};

/// Replaces a name's replicas one by one; no call fails.
struct restart {
  std::string name;
};

struct scale {
  std::string name;
  std::uint32_t version = 0;
  std::uint32_t replicas = 1;
};

struct down {
  std::uint32_t drain_ms = 5000;
};

struct done {
  std::string text;
};

}  // namespace berth::client::verbs
