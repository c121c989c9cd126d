#include "registry/sqlite_store.hpp"

#include "registry/names_state.hpp"
#include "registry/sqlite.hpp"
#include "runtime/store/digest.hpp"

#include <csignal>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <future>
#include <gtest/gtest.h>
#include <random>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace berth::registry;
using berth::kind;
using berth::result;
namespace fs = std::filesystem;

chain_digest sha256(std::string_view text) {
  return berth::store::digest_of(text).bytes;
}

void must(const result<outcome>& out) {
  ASSERT_TRUE(out) << out.error().to_string();
}

result<void> anything_goes(std::string_view, std::string_view, std::string_view) {
  return {};
}

/// A folder of its own that goes away with the test.
struct folder {
  fs::path path;

  folder() {
    std::string name = (fs::temp_directory_path() / "berth_store_XXXXXX").string();
    path = ::mkdtemp(name.data());
  }

  ~folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

result<void> wait_append(berth::registry::store& to, std::vector<entry> rows) {
  auto done = std::make_shared<std::promise<result<void>>>();
  auto told = done->get_future();
  to.append(std::move(rows), [done](result<void> ok) { done->set_value(std::move(ok)); });
  EXPECT_EQ(told.wait_for(std::chrono::seconds(30)), std::future_status::ready);
  return told.get();
}

/// A names plane on a store, one request at a time.
struct plane {
  std::unique_ptr<berth::registry::store> disk;
  names_state state{anything_goes};

  static plane open(const fs::path& where, sqlite_options options = {}) {
    plane p;
    auto opened = open_sqlite_store(where, sha256, options);
    EXPECT_TRUE(opened) << opened.error().to_string();
    p.disk = *std::move(opened);
    auto rows = p.disk->load();
    EXPECT_TRUE(rows) << rows.error().to_string();
    for (const auto& row : *rows)
      EXPECT_TRUE(p.state.replay(row));
    return p;
  }

  result<outcome> ask(request what) {
    state.submit(1, std::move(what));
    auto batch = state.next_batch(1'700'000'000'000'000);
    if (batch->empty()) return state.committed().answers.at(0).what;
    if (auto ok = wait_append(*disk, *batch); !ok) return state.refused(ok.error()).at(0).what;
    return state.committed().answers.at(0).what;
  }

  result<outcome> publish(const std::string& name, int n, std::size_t manifest_bytes = 20) {
    publish_request what;
    what.name = name;
    what.facts.digest = fmt::format("{:064x}", n);
    what.facts.manifest = std::string(manifest_bytes, 'm');
    what.facts.signatures = std::string("bin\0ary", 7);
    return ask({fmt::format("id-{}", n), "ann", "it's; DROP TABLE change;--", std::move(what)});
  }

  result<outcome> flip(const std::string& name, std::uint32_t version) {
    return ask({"", "ann", "",
                flip_request{{{name, "prod", {{version, 10000}}, std::nullopt}}, {}, false}});
  }
};

TEST(sqlite_store, what_was_acknowledged_is_there_after_a_restart) {
  folder f;
  {
    auto p = plane::open(f.path);
    must(p.publish("a/b", 1, 100000));
    must(p.publish("a/b", 2));
    must(p.flip("a/b", 2));
  }
  auto p = plane::open(f.path);
  EXPECT_EQ(p.state.revision(), 4u);
  auto r = p.state.resolve(*parse_ref("a/b@prod"));
  ASSERT_TRUE(r);
  EXPECT_EQ(r->parts[0].version.facts->number, 2u);
  EXPECT_EQ(r->parts[0].version.facts->signatures, std::string("bin\0ary", 7));
  EXPECT_EQ(p.state.log()[1].why, "it's; DROP TABLE change;--");
  EXPECT_EQ(p.publish("a/b", 1)->version, 1u)
      << "a retry after the restart hears the first outcome";
  EXPECT_FALSE(p.disk->read_only());
}

TEST(sqlite_store, refuses_a_second_process_on_the_same_folder) {
  folder f;
  auto p = plane::open(f.path);
  auto second = open_sqlite_store(f.path, sha256);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, kind::conflict);
  EXPECT_EQ(second.error().code, "in_use");
}

TEST(sqlite_store, nobody_can_change_or_delete_a_row_with_sql) {
  folder f;
  {
    auto p = plane::open(f.path);
    must(p.publish("a", 1));
  }
  auto db = *sqlite::database::open(f.path / "names.db");
  for (const char* sql :
       {"UPDATE change SET who = 'eve'", "DELETE FROM change", "UPDATE version SET digest = 'x'",
        "DELETE FROM version", "UPDATE name SET kind = 2", "DELETE FROM name",
        "INSERT INTO change SELECT rev + 5, grp, us, who, op, kind, name, tag, before, after, "
        "layout, why,"
        " request, fingerprint, digest FROM change WHERE rev = 1"})
    EXPECT_FALSE(db.run(sql)) << sql;
}

TEST(sqlite_store, a_row_altered_behind_its_back_is_noticed) {
  folder f;
  {
    auto p = plane::open(f.path);
    must(p.publish("a", 1));
  }
  {
    auto db = *sqlite::database::open(f.path / "names.db");
    ASSERT_TRUE(db.run("DROP TRIGGER change_keep_u; UPDATE change SET who = 'eve' WHERE rev = 1"));
  }
  auto opened = open_sqlite_store(f.path, sha256);
  ASSERT_TRUE(opened);
  EXPECT_EQ((*opened)->load().error().code, "bad_log");
}

TEST(sqlite_store, batches_that_wait_for_the_writer_all_arrive_in_order) {
  folder f;
  constexpr int batches = 200;
  {
    auto opened = open_sqlite_store(f.path, sha256);
    names_state state{anything_goes};
    std::vector<std::future<result<void>>> told;
    for (int i = 1; i <= batches; ++i) {
      publish_request what;
      what.name = "a";
      what.facts.digest = fmt::format("{:064x}", i);
      state.submit(1, {"", "ann", "", what});
      auto rows = *state.next_batch(i);
      (void)state.committed();
      auto done = std::make_shared<std::promise<result<void>>>();
      told.push_back(done->get_future());
      (*opened)->append(std::move(rows),
                        [done](result<void> ok) { done->set_value(std::move(ok)); });
    }
    for (auto& one : told) {
      ASSERT_EQ(one.wait_for(std::chrono::seconds(30)), std::future_status::ready);
      EXPECT_TRUE(one.get());
    }
  }
  EXPECT_EQ(plane::open(f.path).state.revision(), batches + 1u);
}

TEST(sqlite_store, a_full_disk_refuses_writes_while_reading_goes_on_and_heals) {
  folder f;
  int published = 0;
  {
    auto p = plane::open(f.path, {.pages_max = 40});
    result<outcome> last = outcome{};
    while (published < 200 && (last = p.publish("a", published + 1, 8000)))
      ++published;
    ASSERT_FALSE(last);
    EXPECT_EQ(last.error().kind, kind::overloaded);
    EXPECT_EQ(last.error().code, "storage_full");
    ASSERT_GT(published, 3);
    EXPECT_TRUE(p.state.resolve(*parse_ref("a@1")));
    EXPECT_EQ(p.state.find("a").value()->versions.size(), static_cast<std::size_t>(published));
    EXPECT_TRUE(p.flip("a", 1))
        << "what still fits is written: the refused batch left nothing behind";
  }
  auto p = plane::open(f.path);
  EXPECT_TRUE(p.publish("a", published + 1, 8000)) << "with room again, writing goes on";
  EXPECT_EQ(p.state.find("a").value()->versions.size(), static_cast<std::size_t>(published) + 1);
}

/// Publishes for ever and writes each acknowledged revision to `fd`.
[[noreturn]] void publish_until_killed(const fs::path& where, int fd) {
  auto p = plane::open(where);
  for (int i = static_cast<int>(p.state.revision()) + 1;; ++i) {
    auto made = p.publish("a", i);
    if (!made) ::_exit(3);
    std::uint64_t revision = made->revision;
    if (::write(fd, &revision, sizeof revision) != sizeof revision) ::_exit(4);
  }
}

TEST(sqlite_store, kill_9_at_random_moments_loses_nothing_that_was_acknowledged) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  folder f;
  std::uint64_t acknowledged = 0;
  for (int round = 0; round < 12; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    pid_t child = ::fork();
    if (child == 0) publish_until_killed(f.path, ends[1]);
    ::close(ends[1]);
    std::uint64_t revision = 0;
    for (auto left = 1 + random() % 30;
         left > 0 && ::read(ends[0], &revision, sizeof revision) == sizeof revision; --left)
      acknowledged = revision;
    ::usleep(static_cast<useconds_t>(
        random() % 3000));  // the moment of death within a commit, not a wait for anything
    ::kill(child, SIGKILL);
    while (::read(ends[0], &revision, sizeof revision) == sizeof revision)
      acknowledged = revision;
    ::close(ends[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);
    auto p = plane::open(f.path);
    ASSERT_FALSE(p.disk->read_only()) << p.disk->read_only()->to_string();
    ASSERT_GE(p.state.revision(), acknowledged);
  }
  EXPECT_GT(acknowledged, 12u);
}

/// A copy of a live database as a crash would leave it, with its log not folded in.
void copy_crashed(const fs::path& from, const fs::path& to) {
  for (const char* leaf : {"names.db", "names.db-wal", "names.witness"})
    if (fs::exists(from / leaf))
      fs::copy_file(from / leaf, to / leaf, fs::copy_options::overwrite_existing);
}

TEST(sqlite_store, a_torn_or_flipped_log_is_whole_or_opens_read_only_and_says_how_much_is_missing) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  folder f, crashed;
  auto p = plane::open(f.path);
  for (int i = 1; i <= 40; ++i)
    must(p.publish("a", i));
  copy_crashed(f.path, crashed.path);
  auto wal_bytes = fs::file_size(crashed.path / "names.db-wal");
  int lost = 0;
  for (int round = 0; round < 30; ++round) {
    folder torn;
    copy_crashed(crashed.path, torn.path);
    auto wal = torn.path / "names.db-wal";
    if (round % 2 == 0) {
      fs::resize_file(wal, random() % wal_bytes);
    } else {
      std::fstream file(wal, std::ios::in | std::ios::out | std::ios::binary);
      auto at = static_cast<std::streamoff>(random() % wal_bytes);
      file.seekg(at);
      char byte = static_cast<char>(file.get() ^ (1 << random() % 8));
      file.seekp(at);
      file.put(byte);
    }
    auto opened = open_sqlite_store(torn.path, sha256);
    if (!opened) continue;  // refused outright, with the reason: nothing was taken for whole
    auto rows = (*opened)->load();
    if (!rows) continue;
    auto read_only = (*opened)->read_only();
    if (rows->size() == p.state.revision()) {
      EXPECT_FALSE(read_only);
      continue;
    }
    ++lost;
    ASSERT_TRUE(read_only) << rows->size() << " of " << p.state.revision()
                           << " rows and nobody noticed";
    EXPECT_NE(read_only->message.find(fmt::format("{} changes", p.state.revision() - rows->size())),
              std::string::npos)
        << read_only->message;
    EXPECT_EQ(wait_append(**opened, {}).error().code, "commits_missing");
    opened->reset();
    ASSERT_TRUE(accept_loss(torn.path));
    EXPECT_FALSE((*open_sqlite_store(torn.path, sha256))->read_only());
  }
  EXPECT_GT(lost, 0);
}

}  // namespace
