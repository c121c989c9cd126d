#include "registry/names_state.hpp"

#include "registry/fingerprint.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace berth::registry {
namespace {

constexpr std::size_t why_bytes_max = 4096;
constexpr std::size_t request_id_bytes_max = 128;
constexpr std::size_t flips_max = 64;

std::string version_ref(std::string_view name, std::uint32_t version) {
  return fmt::format("{}@{}", name, version);
}

/// The outcome of a transaction, told from its rows: what a retry hears.
template <class Before>
outcome outcome_of(std::span<const change> rows, const Before& revision_before) {
  outcome out;
  for (const auto& one : rows) {
    out.revision = one.revision;
    if (one.op == change_op::flip || one.op == change_op::rollback)
      out.flips.push_back(
          {one.name, one.tag, one.before, one.after, one.revision, revision_before(one)});
    else if (!one.after.empty())
      out.version = one.after.front().version;
  }
  return out;
}

/// Makes `record` say what `row` says. The row was decided, so it fits.
void apply(name_record& record,
           const change& row,
           const std::shared_ptr<const version_facts>& facts) {
  switch (row.op) {
    case change_op::create:
      record.name = row.name;
      record.kind = row.kind;
      record.revision = row.revision;
      break;
    case change_op::publish:
      record.versions.push_back({facts, row.revision, false});
      break;
    case change_op::flip:
    case change_op::rollback: {
      auto& tag = record.tags[row.tag];
      tag.revision = row.revision;
      tag.split = row.after;
      tag.layout = row.layout;
      tag.flips.push_back(row.revision);
      break;
    }
    case change_op::yank:
    case change_op::unyank:
      record.versions[row.after.front().version - 1].yanked = row.op == change_op::yank;
      break;
  }
}

/// Does a row of a stored log fit the record it is about?
bool fits(const name_record* record, const entry& row) {
  const auto& c = row.change;
  if (c.op == change_op::create) return record == nullptr;
  if (record == nullptr) return false;
  auto known = [&](const part& p) {
    return p.version >= 1 && p.version <= record->versions.size();
  };
  switch (c.op) {
    case change_op::publish:
      return row.facts && c.after.size() == 1
             && c.after.front().version == record->versions.size() + 1;
    case change_op::flip:
    case change_op::rollback:
      return !c.after.empty() && !c.layout.empty()
             && std::all_of(c.after.begin(), c.after.end(), known);
    case change_op::yank:
    case change_op::unyank:
      return c.after.size() == 1 && known(c.after.front());
    default:
      return false;
  }
}

}  // namespace

std::string_view to_string(change_op op) {
  switch (op) {
    case change_op::create:
      return "create";
    case change_op::publish:
      return "publish";
    case change_op::flip:
      return "flip";
    case change_op::rollback:
      return "rollback";
    case change_op::yank:
      return "yank";
    case change_op::unyank:
      return "unyank";
  }
  return "unknown";
}

names_state::names_state(evolution_check check) : check_(std::move(check)) {}

// --- rebuilding ------------------------------------------------------------------------------------------------------

result<void> names_state::replay(const entry& row) {
  const auto& c = row.change;
  auto found = names_.find(c.name);
  const name_record* old = found == names_.end() ? nullptr : found->second.get();
  if (c.revision != log_.size() + 1 || !fits(old, row))
    return fail(kind::failed, "bad_log",
                fmt::format("row {} of the change log does not fit what came before it; restore "
                            "the database from a copy",
                            c.revision));
  auto record = old ? std::make_shared<name_record>(*old) : std::make_shared<name_record>();
  apply(*record, c, row.facts);
  names_.insert_or_assign(c.name, std::move(record));
  if (!c.request.empty()) requests_[c.request].push_back(c.revision);
  log_.push_back(c);
  return {};
}

// --- deciding --------------------------------------------------------------------------------------------------------

void names_state::submit(std::uint64_t ticket, request what) {
  queue_.push_back({ticket, std::move(what)});
}

std::optional<std::vector<entry>> names_state::next_batch(time_us now) {
  if (flight_ || queue_.empty()) return std::nullopt;
  flight_.emplace();
  for (auto& one : std::exchange(queue_, {})) {
    auto rows_before = flight_->rows.size();
    flight_->answers.push_back({one.ticket, decide(one.what, now)});
    flight_->wrote.push_back(flight_->rows.size() != rows_before);
  }
  return flight_->rows;
}

names_state::commit_result names_state::committed() {
  commit_result out{std::move(flight_->answers), std::move(flight_->rows)};
  for (auto& row : out.rows)
    log_.push_back(row.change);
  for (auto& [name, record] : flight_->names)
    names_.insert_or_assign(name, std::move(record));
  for (auto& [id, revisions] : flight_->requests)
    requests_.insert_or_assign(id, std::move(revisions));
  flight_.reset();
  return out;
}

std::vector<answer> names_state::refused(const error_info& why) {
  auto out = std::move(flight_->answers);
  for (std::size_t i = 0; i < out.size(); ++i)
    if (flight_->wrote[i]) out[i].what = why;
  flight_.reset();
  return out;
}

result<outcome> names_state::decide(const request& what, time_us now) {
  if (what.id.size() > request_id_bytes_max)
    return fail(kind::invalid, "bad_request_id",
                fmt::format("a request id has at most {} bytes", request_id_bytes_max));
  if (what.why.size() > why_bytes_max)
    return fail(kind::invalid, "reason_too_long",
                fmt::format("a reason has at most {} bytes", why_bytes_max));
  const auto print = fingerprint(what);
  if (auto first = first_outcome(what, print)) return *std::move(first);

  draft rows;
  auto out = std::visit([&](const auto& one) { return decide(what, one, rows); }, what.what);
  if (!out || rows.empty()) return out;

  auto next = log_.size() + flight_->rows.size() + 1;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    auto& c = rows[i].change;
    c.revision = next + i;
    c.group = next;
    c.at = now;
    c.who = what.who;
    c.why = what.why;
    c.request = what.id;
    c.fingerprint = print;
    auto old = seen(c.name);
    auto record = old ? std::make_shared<name_record>(*old) : std::make_shared<name_record>();
    apply(*record, c, rows[i].facts);
    flight_->names.insert_or_assign(c.name, std::move(record));
    if (!what.id.empty()) flight_->requests[what.id].push_back(c.revision);
  }
  out->revision = rows.back().change.revision;
  std::size_t flip = 0;
  for (const auto& one : rows)
    if (one.change.op == change_op::flip || one.change.op == change_op::rollback)
      out->flips[flip++].revision = one.change.revision;
  flight_->rows.insert(flight_->rows.end(), rows.begin(), rows.end());
  return out;
}

std::optional<result<outcome>> names_state::first_outcome(const request& what,
                                                          std::uint64_t fingerprint) const {
  if (what.id.empty()) return std::nullopt;
  const std::vector<std::uint64_t>* revisions = nullptr;
  if (auto found = flight_->requests.find(what.id); found != flight_->requests.end())
    revisions = &found->second;
  else if (auto old = requests_.find(what.id); old != requests_.end())
    revisions = &old->second;
  if (revisions == nullptr) return std::nullopt;
  std::vector<change> rows;
  for (auto revision : *revisions)
    rows.push_back(row(revision));
  if (rows.front().fingerprint != fingerprint)
    return fail(
        kind::invalid, "request_id_reused",
        fmt::format("request id '{}' was used for another request at revision {}; take a fresh id",
                    what.id, rows.front().revision));
  auto before = [this](const change& c) -> std::uint64_t {
    auto record = seen(c.name);
    const auto& flips = record->tags.find(c.tag)->second.flips;
    auto here = std::lower_bound(flips.begin(), flips.end(), c.revision);
    return here == flips.begin() ? 0 : *std::prev(here);
  };
  return result<outcome>(outcome_of(rows, before));
}

const change& names_state::row(std::uint64_t revision) const {
  return revision <= log_.size() ? log_[revision - 1]
                                 : flight_->rows[revision - log_.size() - 1].change;
}

result<outcome> names_state::decide(const request&,
                                    const publish_request& what,
                                    draft& rows) const {
  if (auto ok = check_name(what.name); !ok) return std::move(ok).error();
  if (what.facts.digest.size() != 64)
    return fail(kind::invalid, "bad_digest", "a manifest's digest has 64 hex digits");
  outcome out;
  std::uint32_t number = 1;
  if (auto record = seen(what.name)) {
    if (record->kind != what.kind)
      return fail(
          kind::conflict, "other_kind",
          fmt::format("'{}' is a {}; a version of another kind needs a name of its own", what.name,
                      record->kind == name_kind::function ? "function" : "class"));
    for (const auto& one : record->versions)
      if (one.facts->digest == what.facts.digest)
        return outcome{one.revision, one.facts->number, true, {}};
    number = static_cast<std::uint32_t>(record->versions.size()) + 1;
  } else {
    entry create;
    create.change.op = change_op::create;
    create.change.kind = what.kind;
    create.change.name = what.name;
    rows.push_back(std::move(create));
  }
  auto facts = std::make_shared<version_facts>(what.facts);
  facts->number = number;
  entry publish;
  publish.change.op = change_op::publish;
  publish.change.kind = what.kind;
  publish.change.name = what.name;
  publish.change.after = {{number, 0}};
  publish.facts = std::move(facts);
  rows.push_back(std::move(publish));
  out.version = number;
  return out;
}

result<outcome> names_state::decide(const request&, const flip_request& what, draft& rows) const {
  if (what.flips.empty() || what.flips.size() > flips_max)
    return fail(kind::invalid, "bad_transaction",
                fmt::format("a transaction has 1 to {} flips", flips_max));
  outcome out;
  for (const auto& one : what.flips) {
    for (const auto& other : rows)
      if (other.change.name == one.name && other.change.tag == one.tag)
        return fail(kind::invalid, "bad_transaction",
                    fmt::format("'{}@{}' is flipped twice in one transaction", one.name, one.tag));
    auto fact = decide_flip(one, change_op::flip, rows);
    if (!fact) return std::move(fact).error();
    out.flips.push_back(*std::move(fact));
    if (what.force) continue;
    if (auto ok = check_callers(what.bound, one); !ok) return std::move(ok).error();
  }
  return out;
}

result<outcome> names_state::decide(const request&,
                                    const rollback_request& what,
                                    draft& rows) const {
  auto record = seen(what.name);
  if (!record) return no_such_name(what.name);
  auto tag = record->tags.find(what.tag);
  if (tag == record->tags.end())
    return fail(kind::missing, "no_such_tag",
                fmt::format("'{}' has no tag '{}'", what.name, what.tag));
  const auto& flips = tag->second.flips;
  std::uint64_t target = 0;
  if (what.to_revision) {
    auto after = std::upper_bound(flips.begin(), flips.end(), *what.to_revision);
    if (after != flips.begin()) target = *std::prev(after);
  } else if (flips.size() >= 2) {
    target = flips[flips.size() - 2];
  }
  if (target == 0)
    return fail(kind::missing, "nothing_before",
                fmt::format("'{}@{}' pointed nowhere before; `berth history {} {}` shows its past",
                            what.name, what.tag, what.name, what.tag));
  one_flip flip{what.name, what.tag, row(target).after, tag->second.revision};
  auto fact = decide_flip(flip, change_op::rollback, rows);
  if (!fact) return std::move(fact).error();
  if (!what.force)
    if (auto ok = check_callers(what.bound, flip); !ok) return std::move(ok).error();
  outcome out;
  out.flips.push_back(*std::move(fact));
  return out;
}

result<flip_fact> names_state::decide_flip(const one_flip& what, change_op op, draft& rows) const {
  if (auto ok = check_tag(what.tag); !ok) return std::move(ok).error();
  if (auto ok = check_split(what.split); !ok) return std::move(ok).error();
  auto record = seen(what.name);
  if (!record) return no_such_name(what.name);
  for (const auto& one : what.split) {
    if (one.version > record->versions.size())
      return fail(kind::missing, "no_such_version",
                  fmt::format("'{}' has versions 1 to {}, not {}", what.name,
                              record->versions.size(), one.version));
    if (record->versions[one.version - 1].yanked)
      return fail(
          kind::conflict, "yanked",
          fmt::format("{} was yanked; `berth yank --undo {}` brings it back",
                      version_ref(what.name, one.version), version_ref(what.name, one.version)));
  }
  auto found = record->tags.find(what.tag);
  const tag_record* old = found == record->tags.end() ? nullptr : &found->second;
  auto current = old ? old->revision : 0;
  if (what.expect_revision && *what.expect_revision != current) {
    std::string who = old ? fmt::format("{} moved it to {} at revision {}", row(current).who,
                                        to_string(old->split), current)
                          : std::string("it does not exist");
    return fail(kind::conflict, "moved",
                fmt::format("'{}@{}' is not at revision {}: {}; look again and redo", what.name,
                            what.tag, *what.expect_revision, who));
  }
  entry one;
  auto& c = one.change;
  c.op = op;
  c.kind = record->kind;
  c.name = what.name;
  c.tag = what.tag;
  c.before = old ? old->split : std::vector<part>{};
  c.after = sorted(what.split);
  c.layout = (old ? old->layout : layout{}).moved_to(c.after);
  flip_fact fact{what.name, what.tag, c.before, c.after, 0, current};
  rows.push_back(std::move(one));
  return fact;
}

result<void> names_state::check_callers(const std::vector<bound_caller>& bound,
                                        const one_flip& flip) const {
  auto record = seen(flip.name);
  std::string broken;
  std::size_t count = 0;
  for (const auto& caller : bound) {
    if (caller.name != flip.name || caller.tag != flip.tag) continue;
    for (const auto& one : flip.split) {
      auto ok = check_(caller.signature, caller.method,
                       record->versions[one.version - 1].facts->signatures);
      if (ok) continue;
      if (++count <= 8)
        broken += fmt::format("\n  {} would break with version {}: {}", caller.who, one.version,
                              ok.error().message);
      break;
    }
  }
  if (count == 0) return {};
  if (count > 8) broken += fmt::format("\n  and {} more", count - 8);
  return fail(kind::conflict, "would_break",
              fmt::format("the flip of '{}@{}' would break {} bound caller{}:{}\nstop or rebuild "
                          "them, or use --force",
                          flip.name, flip.tag, count, count == 1 ? "" : "s", broken));
}

result<outcome> names_state::decide(const request&, const yank_request& what, draft& rows) const {
  auto record = seen(what.name);
  if (!record) return no_such_name(what.name);
  if (what.version == 0 || what.version > record->versions.size())
    return fail(kind::missing, "no_such_version",
                fmt::format("'{}' has versions 1 to {}, not {}", what.name, record->versions.size(),
                            what.version));
  const auto& version = record->versions[what.version - 1];
  outcome out;
  out.version = what.version;
  out.revision = version.revision;
  if (version.yanked != what.undo) {
    out.existed = true;
    return out;
  }
  std::string holders;
  for (const auto& [tag, where] : record->tags)
    for (const auto& one : where.split)
      if (one.version == what.version) holders += (holders.empty() ? "" : ", ") + tag;
  if (!what.undo && !holders.empty())
    return fail(kind::conflict, "tagged",
                fmt::format("{} cannot be yanked while a tag points to it: {}; move the tag first",
                            version_ref(what.name, what.version), holders));
  entry one;
  one.change.op = what.undo ? change_op::unyank : change_op::yank;
  one.change.kind = record->kind;
  one.change.name = what.name;
  one.change.after = {{what.version, 0}};
  rows.push_back(std::move(one));
  return out;
}

// --- reading ---------------------------------------------------------------------------------------------------------

std::shared_ptr<const name_record> names_state::seen(std::string_view name) const {
  if (flight_)
    if (auto found = flight_->names.find(name); found != flight_->names.end()) return found->second;
  auto found = names_.find(name);
  return found == names_.end() ? nullptr : found->second;
}

error_info names_state::no_such_name(std::string_view name) const {
  std::vector<std::string_view> all;
  all.reserve(names_.size());
  for (const auto& [one, record] : names_)
    all.push_back(one);
  auto near = nearest(name, all);
  std::string hint =
      near.empty() ? "`berth ls` lists the names there are" : "did you mean '" + near + "'?";
  return fail(kind::missing, "no_such_name",
              fmt::format("there is no name '{}'; {}", name.substr(0, name_bytes_max), hint));
}

result<std::shared_ptr<const name_record>> names_state::find(std::string_view name) const {
  auto found = names_.find(name);
  if (found == names_.end()) return no_such_name(name);
  return found->second;
}

result<const tag_record*> names_state::tag_of(std::string_view name, std::string_view tag) const {
  auto record = find(name);
  if (!record) return std::move(record).error();
  const auto& tags = (*record)->tags;
  auto found = tags.find(tag);
  if (found != tags.end()) return &found->second;
  std::string all;
  for (const auto& [one, where] : tags)
    all += (all.empty() ? "" : ", ") + one;
  return fail(kind::missing, "no_such_tag",
              all.empty() ? fmt::format("'{}' has no tags yet; ask for a version: {}@1", name, name)
                          : fmt::format("'{}' has no tag '{}'; it has {}", name, tag, all));
}

result<resolved> names_state::resolve(const ref& r) const {
  auto record = find(r.name);
  if (!record) return std::move(record).error();
  const auto& versions = (*record)->versions;
  resolved out;
  out.name = r.name;
  out.kind = (*record)->kind;
  out.method = r.method;
  if (const auto* tag = std::get_if<by_tag>(&r.which)) {
    auto where = tag_of(r.name, tag->tag);
    if (!where) return std::move(where).error();
    out.tag = tag->tag;
    out.revision = (*where)->revision;
    out.layout = (*where)->layout;
    for (const auto& one : (*where)->split)
      out.parts.push_back({versions[one.version - 1], one.weight});
    return out;
  }
  const version_record* pinned = nullptr;
  if (const auto* number = std::get_if<by_number>(&r.which)) {
    if (number->number <= versions.size()) pinned = &versions[number->number - 1];
  } else {
    const auto& digest = std::get<by_digest>(r.which).digest;
    for (const auto& one : versions)
      if (one.facts->digest == digest) pinned = &one;
  }
  if (pinned == nullptr)
    return fail(kind::missing, "no_such_version",
                fmt::format("there is no {}; '{}' has versions 1 to {}", to_string(r), r.name,
                            versions.size()));
  out.parts.push_back({*pinned, weight_total});
  return out;
}

std::vector<std::shared_ptr<const name_record>> names_state::list(std::string_view prefix) const {
  std::vector<std::shared_ptr<const name_record>> out;
  for (auto one = names_.lower_bound(prefix); one != names_.end() && one->first.starts_with(prefix);
       ++one)
    out.push_back(one->second);
  return out;
}

tag_record names_state::as_of(const tag_record& tag, std::uint64_t flip) const {
  tag_record out;
  out.revision = flip;
  out.split = log_[flip - 1].after;
  out.layout = log_[flip - 1].layout;
  out.flips.assign(tag.flips.begin(), std::upper_bound(tag.flips.begin(), tag.flips.end(), flip));
  return out;
}

result<tag_record> names_state::at_revision(std::string_view name,
                                            std::string_view tag,
                                            std::uint64_t revision) const {
  auto found = tag_of(name, tag);
  if (!found) return std::move(found).error();
  auto last = std::min<std::uint64_t>(revision, log_.size());
  while (last > 0 && last < log_.size() && log_[last].group == log_[last - 1].group)
    ++last;
  const auto& flips = (*found)->flips;
  auto after = std::upper_bound(flips.begin(), flips.end(), last);
  if (after == flips.begin())
    return fail(kind::missing, "not_yet",
                fmt::format("'{}@{}' did not exist at revision {}", name, tag, revision));
  return as_of(**found, *std::prev(after));
}

result<tag_record> names_state::at_time(std::string_view name,
                                        std::string_view tag,
                                        time_us when) const {
  auto found = tag_of(name, tag);
  if (!found) return std::move(found).error();
  const auto& flips = (*found)->flips;
  for (auto flip = flips.rbegin(); flip != flips.rend(); ++flip)
    if (log_[*flip - 1].at <= when) return as_of(**found, *flip);
  return fail(kind::missing, "not_yet",
              fmt::format("'{}@{}' did not exist at that time", name, tag));
}

result<names_state::history_page> names_state::history(std::string_view name,
                                                       std::string_view tag,
                                                       std::uint32_t limit) const {
  auto record = find(name);
  if (!record) return std::move(record).error();
  history_page page;
  auto take = [&](const change& c) {
    if (c.name != name || (!tag.empty() && c.tag != tag)) return true;
    if (page.rows.size() == limit) {
      page.cut = true;
      return false;
    }
    page.rows.push_back(c);
    return true;
  };
  for (auto one = log_.rbegin(); one != log_.rend(); ++one)
    if (!take(*one)) break;
  return page;
}

}  // namespace berth::registry
