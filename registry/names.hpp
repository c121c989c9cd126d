#pragma once
// Names plane, the words: names, versions, tags, and the change log they are made from.
//
// Everything the names plane knows is a fold of its change log: rows with gapless revisions, each a fact that was
// decided once. Versions are immutable; a tag is the last flip row of its name and tag; history, audit, `at` and
// watch read the same rows.

#include "registry/split.hpp"

#include <berth/error.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace berth::registry {

/// Microseconds since 1970, UTC. Told, never compared: order is by revision.
using time_us = std::int64_t;

enum class name_kind : std::uint8_t { function = 1, service_class = 2 };

/// What a version is: the part that never changes. `digest` (of the manifest, 64 hex digits) is its identity.
struct version_facts {
  std::uint32_t number = 0;
  std::string digest;
  std::string manifest;
  std::string signatures;  ///< encoded; opaque here, the evolution check reads them
  bool idempotent = false;
  std::uint32_t concurrency = 1;
  std::string commit;
  friend bool operator==(const version_facts&, const version_facts&) = default;
};

enum class change_op : std::uint8_t {
  create = 1,
  publish = 2,
  flip = 3,
  rollback = 4,
  yank = 5,
  unyank = 6
};
[[nodiscard]] std::string_view to_string(change_op op);

/// One row of the change log. `group` is the revision of the first row of its transaction: rows of one group are
/// visible together or not at all. For publish, yank and unyank, `after` names the version with weight 0.
struct change {
  std::uint64_t revision = 0;
  std::uint64_t group = 0;
  time_us at = 0;
  std::string who;
  change_op op = change_op::create;
  name_kind kind = name_kind::function;  ///< of the name; told with create
  std::string name;
  std::string tag;
  std::vector<part> before;
  std::vector<part> after;
  registry::layout layout;  ///< of `after`, for flip and rollback
  std::string why;
  std::string request;  ///< id of the request that asked for it; empty for none
  std::uint64_t fingerprint =
      0;  ///< of what that request asked, to tell a retry from another use of its id
  friend bool operator==(const change&, const change&) = default;
};

/// A row as it is written: with the version's facts when it publishes one.
struct entry {
  registry::change change;
  std::shared_ptr<const version_facts> facts;
};

/// A caller that is bound to a tag right now, and what it expects; told by whoever asks for a flip.
struct bound_caller {
  std::string who;
  std::string name;
  std::string tag;
  std::string method;
  std::string signature;  ///< encoded
};

// What can be asked for. Each is one transaction.

/// Makes the name when it is new, and a version when no version of the name has this digest.
struct publish_request {
  std::string name;
  name_kind kind = name_kind::function;
  version_facts facts;  ///< `number` is given by the registry
};

struct one_flip {
  std::string name;
  std::string tag;
  std::vector<part> split;
  std::optional<std::uint64_t>
      expect_revision;  ///< of the tag; 0: it must not exist yet; nothing: whatever it is
};

struct flip_request {
  std::vector<one_flip> flips;
  std::vector<bound_caller> bound;
  bool force = false;  ///< flip although bound callers would break
};

/// Sets a tag to what it was at `to_revision`, else to what it was before the last flip.
struct rollback_request {
  std::string name;
  std::string tag;
  std::optional<std::uint64_t> to_revision;
  std::vector<bound_caller> bound;
  bool force = false;
};

struct yank_request {
  std::string name;
  std::uint32_t version = 0;
  bool undo = false;
};

struct request {
  std::string id;  ///< a retry under the same id gets the first outcome; empty: not retryable
  std::string who;
  std::string why;
  std::variant<publish_request, flip_request, rollback_request, yank_request> what;
};

struct flip_fact {
  std::string name;
  std::string tag;
  std::vector<part> before;
  std::vector<part> after;
  std::uint64_t revision = 0;         ///< the tag's new one
  std::uint64_t revision_before = 0;  ///< the tag's old one; 0: it is new
  friend bool operator==(const flip_fact&, const flip_fact&) = default;
};

struct outcome {
  std::uint64_t revision =
      0;  ///< last row of the transaction, or of the version that was there already
  std::uint32_t version = 0;  ///< publish, yank
  bool existed = false;       ///< publish: the same identity was there
  std::vector<flip_fact> flips;
  friend bool operator==(const outcome&, const outcome&) = default;
};

// What can be seen.

struct version_record {
  std::shared_ptr<const version_facts> facts;
  std::uint64_t revision = 0;
  bool yanked = false;
};

struct tag_record {
  std::uint64_t revision = 0;
  std::vector<part> split;
  registry::layout layout;
  std::vector<std::uint64_t> flips;  ///< revisions of all its flip rows, ascending
};

/// What a ref stands for. With a pinned ref `tag` is empty and the one part has weight 10000.
struct resolved {
  struct one {
    version_record version;
    std::uint32_t weight = 0;
  };

  std::string name;
  name_kind kind = name_kind::function;
  std::string method;
  std::string tag;
  std::uint64_t revision = 0;  ///< of the tag
  std::vector<one> parts;
  registry::layout layout;
};

}  // namespace berth::registry
