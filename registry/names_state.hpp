#pragma once
// Names plane, the state machine: decides every request and says which rows must be written first.
//
// Promise: what is acknowledged is durable, what is read was acknowledged. Requests gather while one batch is being
// written; a batch is decided against an overlay that nobody reads, and joins the state when the store says so
// (`committed`) or vanishes (`refused`). One batch is in flight at a time, which is the group commit.
//
// Pure: no clock, no files, no threads. One owner.

#include "registry/names.hpp"
#include "registry/ref.hpp"

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace berth::registry {

/// May a caller that expects `caller_signature` (of `method`, empty for a function) call a version that offers
/// `version_signatures`? An error's message says which field would break.
using evolution_check = std::function<result<void>(std::string_view caller_signature,
                                                   std::string_view method,
                                                   std::string_view version_signatures)>;

/// The answer to one submitted request.
struct answer {
  std::uint64_t ticket = 0;
  result<outcome> what;
};

/// One name with its versions and tags. Immutable once shared; a change makes a new one.
struct name_record {
  std::string name;
  name_kind kind = name_kind::function;
  std::uint64_t revision = 0;
  std::vector<version_record> versions;  ///< number n at n - 1
  std::map<std::string, tag_record, std::less<>> tags;
};

class names_state {
 public:
  explicit names_state(evolution_check check);

  /// Adds a row that is durable already; used to rebuild from a store. Rows come in order of revision.
  /// Errors: `failed` (bad_log) for a gap or a row that does not fit what came before.
  [[nodiscard]] result<void> replay(const entry& row);

  // Writing.
  /// Queues a request. Its answer comes out of `committed` or `refused` with this ticket.
  void submit(std::uint64_t ticket, request what);
  /// Decides all queued requests. Nothing while a batch is in flight or nothing is queued. An empty batch needs no
  /// store: call `committed` at once.
  [[nodiscard]] std::optional<std::vector<entry>> next_batch(time_us now);

  struct commit_result {
    std::vector<answer> answers;
    std::vector<entry> rows;  ///< now part of the state, for watchers
  };

  /// The batch in flight is durable.
  [[nodiscard]] commit_result committed();
  /// The batch in flight could not be written: each request that wanted rows fails with `why`.
  [[nodiscard]] std::vector<answer> refused(const error_info& why);

  [[nodiscard]] bool in_flight() const { return flight_.has_value(); }

  // Reading; all from memory, all durable facts.
  /// Errors: `missing` (no_such_name with the nearest, no_such_tag, no_such_version).
  [[nodiscard]] result<resolved> resolve(const ref& r) const;
  /// Errors: `missing` (no_such_name).
  [[nodiscard]] result<std::shared_ptr<const name_record>> find(std::string_view name) const;
  /// Names that start with `prefix`, ascending.
  [[nodiscard]] std::vector<std::shared_ptr<const name_record>> list(std::string_view prefix) const;
  /// The split of a tag as of `revision` (rounded up to the end of its transaction). Errors: `missing`.
  [[nodiscard]] result<tag_record> at_revision(std::string_view name,
                                               std::string_view tag,
                                               std::uint64_t revision) const;
  /// The split of a tag as of a time. Errors: `missing`.
  [[nodiscard]] result<tag_record> at_time(std::string_view name,
                                           std::string_view tag,
                                           time_us when) const;

  /// The last `limit` rows of a name (and tag, unless empty), newest first; `cut` when there are more.
  struct history_page {
    std::vector<change> rows;
    bool cut = false;
  };

  [[nodiscard]] result<history_page> history(std::string_view name,
                                             std::string_view tag,
                                             std::uint32_t limit) const;

  /// All rows, ascending: revision n at n - 1.
  [[nodiscard]] std::span<const change> log() const { return log_; }

  [[nodiscard]] std::uint64_t revision() const { return log_.size(); }

 private:
  struct queued {
    std::uint64_t ticket;
    request what;
  };

  struct flight {
    std::vector<entry> rows;
    std::vector<answer> answers;
    std::vector<bool> wrote;  ///< by answer: it wanted rows of this batch
    std::map<std::string, std::shared_ptr<const name_record>, std::less<>> names;
    std::unordered_map<std::string, std::vector<std::uint64_t>>
        requests;  ///< revisions by request id
  };

  /// Rows of one request while it is decided.
  using draft = std::vector<entry>;

  result<outcome> decide(const request& what, time_us now);
  result<outcome> decide(const request& from, const publish_request& what, draft& rows) const;
  result<outcome> decide(const request& from, const flip_request& what, draft& rows) const;
  result<outcome> decide(const request& from, const rollback_request& what, draft& rows) const;
  result<outcome> decide(const request& from, const yank_request& what, draft& rows) const;
  result<flip_fact> decide_flip(const one_flip& what, change_op op, draft& rows) const;
  result<void> check_callers(const std::vector<bound_caller>& bound, const one_flip& flip) const;
  std::optional<result<outcome>> first_outcome(const request& what,
                                               std::uint64_t fingerprint) const;
  const change& row(std::uint64_t revision) const;

  std::shared_ptr<const name_record> seen(
      std::string_view name) const;  ///< overlay first; null when unknown
  error_info no_such_name(std::string_view name) const;
  result<const tag_record*> tag_of(std::string_view name, std::string_view tag) const;
  tag_record as_of(const tag_record& tag, std::uint64_t flip) const;

  evolution_check check_;
  std::vector<queued> queue_;
  std::optional<flight> flight_;
  std::vector<change> log_;
  std::map<std::string, std::shared_ptr<const name_record>, std::less<>> names_;
  std::unordered_map<std::string, std::vector<std::uint64_t>> requests_;
};

}  // namespace berth::registry
