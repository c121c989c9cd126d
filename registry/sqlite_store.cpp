#include "registry/sqlite_store.hpp"

#include "registry/sqlite.hpp"
#include "registry/witness.hpp"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <mutex>
#include <sys/file.h>
#include <thread>
#include <unistd.h>

namespace berth::registry {
namespace {

constexpr int schema_version = 1;

constexpr const char* schema = R"sql(
CREATE TABLE name(path TEXT PRIMARY KEY NOT NULL, kind INTEGER NOT NULL CHECK(kind IN (1,2)), rev INTEGER NOT NULL)
  STRICT, WITHOUT ROWID;
CREATE TABLE version(name TEXT NOT NULL REFERENCES name(path), number INTEGER NOT NULL CHECK(number > 0),
  digest TEXT NOT NULL CHECK(length(digest) = 64), manifest TEXT NOT NULL, signatures BLOB NOT NULL,
  idempotent INTEGER NOT NULL, concurrency INTEGER NOT NULL, vcs_commit TEXT NOT NULL, rev INTEGER NOT NULL UNIQUE,
  PRIMARY KEY(name, number), UNIQUE(name, digest)) STRICT;
CREATE TABLE change(rev INTEGER PRIMARY KEY, grp INTEGER NOT NULL CHECK(grp <= rev), us INTEGER NOT NULL, who TEXT NOT NULL,
  op INTEGER NOT NULL CHECK(op BETWEEN 1 AND 6), kind INTEGER NOT NULL, name TEXT NOT NULL, tag TEXT NOT NULL,
  before TEXT NOT NULL, after TEXT NOT NULL, layout TEXT NOT NULL, why TEXT NOT NULL, request TEXT NOT NULL,
  fingerprint INTEGER NOT NULL, digest BLOB NOT NULL CHECK(length(digest) = 32)) STRICT;
CREATE INDEX change_by_name ON change(name, tag, rev);
CREATE TRIGGER name_keep_u BEFORE UPDATE ON name BEGIN SELECT RAISE(ABORT, 'names are never changed'); END;
CREATE TRIGGER name_keep_d BEFORE DELETE ON name BEGIN SELECT RAISE(ABORT, 'names are never deleted'); END;
CREATE TRIGGER version_keep_u BEFORE UPDATE ON version BEGIN SELECT RAISE(ABORT, 'versions are immutable'); END;
CREATE TRIGGER version_keep_d BEFORE DELETE ON version BEGIN SELECT RAISE(ABORT, 'versions are never deleted'); END;
CREATE TRIGGER change_keep_u BEFORE UPDATE ON change BEGIN SELECT RAISE(ABORT, 'the change log is append-only'); END;
CREATE TRIGGER change_keep_d BEFORE DELETE ON change BEGIN SELECT RAISE(ABORT, 'the change log is append-only'); END;
CREATE TRIGGER change_gapless BEFORE INSERT ON change WHEN NEW.rev <> (SELECT coalesce(max(rev), 0) + 1 FROM change)
  BEGIN SELECT RAISE(ABORT, 'revisions have no gaps'); END;
PRAGMA user_version = 1;
)sql";

/// What a row's digest covers: the digest before and every field of the row, each with its length.
std::string chain_text(const chain_digest& before, const entry& row) {
  const auto& c = row.change;
  std::string text;
  auto add = [&text](std::string_view field) {
    text += fmt::format("{}:{},", field.size(), field);
  };
  text.append(reinterpret_cast<const char*>(before.data()), before.size());
  text += fmt::format("{},{},{},{},{},{},", c.revision, c.group, c.at, static_cast<int>(c.op),
                      static_cast<int>(c.kind), c.fingerprint);
  for (std::string_view field :
       {std::string_view(c.who), std::string_view(c.name), std::string_view(c.tag),
        std::string_view(c.why), std::string_view(c.request)})
    add(field);
  add(to_string(c.before));
  add(to_string(c.after));
  add(c.layout.to_string());
  if (row.facts) {
    add(row.facts->digest);
    add(row.facts->signatures);
    add(row.facts->commit);
  }
  return text;
}

std::string_view next_step() {
  return "reading goes on; restore a copy, or give the lost changes up with `berthd --accept-loss`";
}

/// Makes the tables in a new database. Errors: `failed` (newer_schema) for a database of a later release.
result<void> make_schema(sqlite::database& db) {
  auto version = db.number("PRAGMA user_version");
  if (!version) return std::move(version).error();
  if (*version == schema_version) return {};
  if (*version != 0)
    return fail(
        kind::failed, "newer_schema",
        fmt::format(
            "the names database has schema {}, this release reads {}; start the newer release",
            *version, schema_version));
  if (auto ok = db.run("BEGIN IMMEDIATE"); !ok) return ok;
  if (auto ok = db.run(schema); !ok) return ok;
  return db.run("COMMIT");
}

/// Where the database really is: its last revision and the digest there.
result<witness> last_of(sqlite::database& db) {
  auto query =
      sqlite::statement::prepare(db, "SELECT rev, digest FROM change ORDER BY rev DESC LIMIT 1");
  if (!query) return std::move(query).error();
  auto row = query->step();
  if (!row) return std::move(row).error();
  witness out;
  if (!*row) return out;
  out.revision = static_cast<std::uint64_t>(query->number(0));
  auto bytes = query->bytes(1);
  if (bytes.size() == out.digest.size()) std::copy(bytes.begin(), bytes.end(), out.digest.begin());
  return out;
}

/// Compares the database with what the witness saw. Nothing: all is there.
result<std::optional<error_info>> loss(sqlite::database& db, const std::optional<witness>& seen) {
  if (!seen || seen->revision == 0) return std::optional<error_info>{};
  auto here = last_of(db);
  if (!here) return std::move(here).error();
  if (here->revision < seen->revision)
    return std::optional(fail(
        kind::failed, "commits_missing",
        fmt::format("the names database ends at revision {}, but {} changes up to revision {} were "
                    "acknowledged; {}",
                    here->revision, seen->revision - here->revision, seen->revision, next_step())));
  auto query = sqlite::statement::prepare(db, "SELECT digest FROM change WHERE rev = ?");
  if (!query) return std::move(query).error();
  query->bind(static_cast<std::int64_t>(seen->revision));
  auto row = query->step();
  if (!row) return std::move(row).error();
  auto bytes = query->bytes(0);
  if (*row && std::equal(bytes.begin(), bytes.end(), seen->digest.begin(), seen->digest.end()))
    return std::optional<error_info>{};
  return std::optional(
      fail(kind::failed, "log_differs",
           fmt::format("revision {} of the names database is not the one that was acknowledged; {}",
                       seen->revision, next_step())));
}

result<sqlite::database> open_database(const std::filesystem::path& folder,
                                       const sqlite_options& options) {
  auto db = sqlite::database::open(folder / "names.db");
  if (!db) return db;
  // 64 pages of cache are enough: everything is read once at start and then only appended.
  for (const char* sql :
       {"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON",
        "PRAGMA trusted_schema = OFF", "PRAGMA cache_size = 64"})
    if (auto ok = db->run(sql); !ok) return std::move(ok).error();
  if (options.pages_max != 0)
    if (auto ok = db->run(fmt::format("PRAGMA max_page_count = {}", options.pages_max).c_str());
        !ok)
      return std::move(ok).error();
  if (auto ok = make_schema(*db); !ok) return std::move(ok).error();
  return db;
}

/// The statements a commit needs, prepared once.
struct insert_statements {
  sqlite::statement change, name, version;

  static result<insert_statements> prepare(sqlite::database& db) {
    auto change =
        sqlite::statement::prepare(db, "INSERT INTO change VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    auto name = sqlite::statement::prepare(db, "INSERT INTO name VALUES(?,?,?)");
    auto version = sqlite::statement::prepare(db, "INSERT INTO version VALUES(?,?,?,?,?,?,?,?,?)");
    for (auto* one : {&change, &name, &version})
      if (!*one) return std::move(*one).error();
    return insert_statements{*std::move(change), *std::move(name), *std::move(version)};
  }

  result<void> insert(const entry& row, const chain_digest& digest) {
    const auto& c = row.change;
    auto revision = static_cast<std::int64_t>(c.revision);
    if (c.op == change_op::create) {
      name.bind(c.name).bind(static_cast<std::int64_t>(c.kind)).bind(revision);
      if (auto ok = name.finish(); !ok) return ok;
    }
    if (row.facts) {
      const auto& v = *row.facts;
      version.bind(c.name).bind(std::int64_t{v.number}).bind(v.digest).bind(v.manifest);
      version.bind(std::as_bytes(std::span(v.signatures))).bind(std::int64_t{v.idempotent});
      version.bind(std::int64_t{v.concurrency}).bind(v.commit).bind(revision);
      if (auto ok = version.finish(); !ok) return ok;
    }
    auto before = to_string(c.before), after = to_string(c.after), layout = c.layout.to_string();
    change.bind(revision).bind(static_cast<std::int64_t>(c.group)).bind(c.at).bind(c.who);
    change.bind(static_cast<std::int64_t>(c.op))
        .bind(static_cast<std::int64_t>(c.kind))
        .bind(c.name)
        .bind(c.tag);
    change.bind(before).bind(after).bind(layout).bind(c.why).bind(c.request);
    change.bind(static_cast<std::int64_t>(c.fingerprint)).bind(std::span<const std::byte>(digest));
    return change.finish();
  }
};

/// One change row as it is stored, with the version's facts when it published one.
result<std::pair<entry, chain_digest>> read_row(const sqlite::statement& row) {
  entry out;
  auto& c = out.change;
  c.revision = static_cast<std::uint64_t>(row.number(0));
  c.group = static_cast<std::uint64_t>(row.number(1));
  c.at = row.number(2);
  c.who = row.text(3);
  c.op = static_cast<change_op>(row.number(4));
  c.kind = static_cast<name_kind>(row.number(5));
  c.name = row.text(6);
  c.tag = row.text(7);
  auto before = parse_parts(row.text(8));
  auto after = parse_parts(row.text(9));
  if (!before || !after)
    return fail(kind::failed, "bad_log", fmt::format("row {} holds no split", c.revision));
  c.before = *std::move(before);
  c.after = *std::move(after);
  if (auto text = row.text(10); !text.empty()) {
    auto layout = layout::parse(text);
    if (!layout)
      return std::move(layout).error().at(fmt::format("in row {} of the change log", c.revision));
    c.layout = *std::move(layout);
  }
  c.why = row.text(11);
  c.request = row.text(12);
  c.fingerprint = static_cast<std::uint64_t>(row.number(13));
  chain_digest digest{};
  auto bytes = row.bytes(14);
  if (bytes.size() == digest.size()) std::copy(bytes.begin(), bytes.end(), digest.begin());
  if (row.number(15) != 0) {
    auto facts = std::make_shared<version_facts>();
    facts->number = static_cast<std::uint32_t>(row.number(15));
    facts->digest = row.text(16);
    facts->manifest = row.text(17);
    auto signatures = row.bytes(18);
    facts->signatures.assign(reinterpret_cast<const char*>(signatures.data()), signatures.size());
    facts->idempotent = row.number(19) != 0;
    facts->concurrency = static_cast<std::uint32_t>(row.number(20));
    facts->commit = row.text(21);
    out.facts = std::move(facts);
  }
  return std::pair{std::move(out), digest};
}

class sqlite_store final : public store {
 public:
  sqlite_store(sqlite::database db,
               insert_statements inserts,
               witness_file seen,
               witness last,
               int lock,
               digest_function digest,
               std::optional<error_info> read_only)
      : db_(std::move(db)),
        inserts_(std::move(inserts)),
        witness_(std::move(seen)),
        last_(last),
        lock_(lock),
        digest_(std::move(digest)),
        read_only_(std::move(read_only)),
        writer_([this] { write_all(); }) {}

  ~sqlite_store() override {
    {
      std::lock_guard hold(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    writer_.join();
    ::close(lock_);
  }

  result<std::vector<entry>> load() override {
    auto query = sqlite::statement::prepare(
        db_,
        "SELECT c.rev, c.grp, c.us, c.who, c.op, c.kind, c.name, c.tag, c.before, c.after, "
        "c.layout, c.why, c.request,"
        " c.fingerprint, c.digest, coalesce(v.number, 0), v.digest, v.manifest, v.signatures, "
        "v.idempotent, v.concurrency,"
        " v.vcs_commit FROM change c LEFT JOIN version v ON v.rev = c.rev ORDER BY c.rev");
    if (!query) return std::move(query).error();
    std::vector<entry> rows;
    chain_digest digest{};
    for (;;) {
      auto more = query->step();
      if (!more) return std::move(more).error();
      if (!*more) return rows;
      auto row = read_row(*query);
      if (!row) return std::move(row).error();
      digest = digest_(chain_text(digest, row->first));
      if (digest != row->second)
        return fail(kind::failed, "bad_log",
                    fmt::format("row {} of the change log was altered after it was written; "
                                "restore the database from a copy",
                                row->first.change.revision));
      rows.push_back(std::move(row->first));
    }
  }

  void append(std::vector<entry> rows, done_function done) override {
    if (auto why = read_only()) return done(*why);
    {
      std::lock_guard hold(mutex_);
      waiting_.push_back({std::move(rows), std::move(done)});
    }
    wake_.notify_all();
  }

  std::optional<error_info> read_only() const override {
    std::lock_guard hold(mutex_);
    return read_only_;
  }

 private:
  struct job {
    std::vector<entry> rows;
    done_function done;
  };

  void write_all() {
    std::unique_lock hold(mutex_);
    for (;;) {
      wake_.wait(hold, [this] { return stop_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      auto jobs = std::exchange(waiting_, {});
      auto ok = read_only_ ? result<void>(*read_only_) : result<void>();
      hold.unlock();
      if (ok) ok = write(jobs);
      for (auto& one : jobs)
        one.done(ok);
      hold.lock();
    }
  }

  result<void> write(const std::vector<job>& jobs) {
    auto next = last_;
    auto ok = insert(jobs, next);
    if (!ok) {
      (void)db_.run("ROLLBACK");
      return ok;
    }
    last_ = next;
    auto seen = witness_.write(last_);
    if (seen) return seen;
    // The rows are durable, but a later loss of them would go unnoticed: no promise can be given on this disk.
    auto why = fail(kind::outcome_unknown, "witness_not_written",
                    "the change was written but could not be secured; start the head again to see "
                    "where it stands")
                   .at(seen.error().message);
    std::lock_guard hold(mutex_);
    read_only_ = why;
    return why;
  }

  result<void> insert(const std::vector<job>& jobs, witness& at) {
    if (auto ok = db_.run("BEGIN IMMEDIATE"); !ok) return ok;
    for (const auto& job : jobs)
      for (const auto& row : job.rows) {
        at = {row.change.revision, digest_(chain_text(at.digest, row))};
        if (auto ok = inserts_.insert(row, at.digest); !ok) return ok;
      }
    return db_.run("COMMIT");
  }

  sqlite::database db_;
  insert_statements inserts_;
  witness_file witness_;
  witness last_;
  const int lock_;
  const digest_function digest_;
  mutable std::mutex mutex_;
  std::optional<error_info> read_only_;
  std::condition_variable wake_;
  std::vector<job> waiting_;
  bool stop_ = false;
  std::thread writer_;  // last: it uses all of the above
};

/// One process at a time: the lock goes with the process, however it ends.
result<int> lock_folder(const std::filesystem::path& folder) {
  auto path = folder / "names.lock";
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail(kind::failed, "io",
                fmt::format("opening {} failed: {}", path.string(), std::strerror(errno)));
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  ::close(fd);
  return fail(
      kind::conflict, "in_use",
      fmt::format("another cluster uses {}; stop it (`berth down`) or name another state folder",
                  folder.string()));
}

}  // namespace

result<std::unique_ptr<store>> open_sqlite_store(const std::filesystem::path& folder,
                                                 digest_function digest,
                                                 sqlite_options options) {
  auto lock = lock_folder(folder);
  if (!lock) return std::move(lock).error();
  auto give_up = [&](error_info why) {
    ::close(*lock);
    return std::move(why).at("while opening the names database in " + folder.string());
  };
  auto db = open_database(folder, options);
  if (!db) return give_up(std::move(db).error());
  auto seen = witness_file::open(folder / "names.witness");
  if (!seen) return give_up(std::move(seen).error());
  auto recorded = seen->read();
  std::optional<error_info> read_only;
  if (recorded) {
    auto missing = loss(*db, *recorded);
    if (!missing) return give_up(std::move(missing).error());
    read_only = *std::move(missing);
  } else {
    read_only = std::move(recorded).error();
  }
  auto last = last_of(*db);
  if (!last) return give_up(std::move(last).error());
  auto inserts = insert_statements::prepare(*db);
  if (!inserts) return give_up(std::move(inserts).error());
  return std::unique_ptr<store>(
      std::make_unique<sqlite_store>(*std::move(db), *std::move(inserts), *std::move(seen), *last,
                                     *lock, std::move(digest), std::move(read_only)));
}

result<std::uint64_t> accept_loss(const std::filesystem::path& folder) {
  auto lock = lock_folder(folder);
  if (!lock) return std::move(lock).error();

  struct unlock {
    int fd;

    ~unlock() { ::close(fd); }
  } held{*lock};

  auto db = open_database(folder, {});
  if (!db) return std::move(db).error();
  auto last = last_of(*db);
  if (!last) return std::move(last).error();
  std::error_code ignored;
  std::filesystem::remove(folder / "names.witness", ignored);
  auto fresh = witness_file::open(folder / "names.witness");
  if (!fresh) return std::move(fresh).error();
  if (auto ok = fresh->write(*last); !ok) return std::move(ok).error();
  return last->revision;
}

}  // namespace berth::registry
