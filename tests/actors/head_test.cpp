// The head as its clients see it: verbs in, answers out, on a real store and a host without processes.

#include "actors/head.hpp"

#include "registry/sqlite_store.hpp"
#include "runtime/client/control_message.hpp"
#include "runtime/module/manifest.hpp"
#include "runtime/store/digest.hpp"
#include "tests/actors/fake_host.hpp"
#include "tests/actors/recording_port.hpp"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <semaphore>
#include <set>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace berth;
using namespace berth::actors;
using actors::doubles::fake_host;
using actors::doubles::recording_port;
namespace fs = std::filesystem;

struct folder {
  fs::path path;

  folder() {
    std::string name = (fs::temp_directory_path() / "berth_head_XXXXXX").string();
    path = ::mkdtemp(name.data());
  }

  ~folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

template <class T>
std::string verb_word();
// clang-format off
#define WORD(v)                       \
  template <>                         \
  std::string verb_word<verbs::v>() { \
    return #v;                        \
  }

WORD(resolve)

WORD(publish)

WORD(tag)

WORD(rollback)

WORD(yank)

WORD(history)

WORD(at)

WORD(watch)

WORD(ls)

WORD(describe)
WORD(status) WORD(ps) WORD(stats) WORD(logs) WORD(restart) WORD(scale) WORD(down)
    WORD(blobs_missing) WORD(upload) WORD(fate)
#undef WORD
    // clang-format on

    signature sample(const std::vector<std::string>& params) {
  signature s;
  for (const auto& name : params)
    s.params.push_back({name, shape_of<int>(), flow::single});
  s.result = shape_of<int>();
  return s;
}

/// A cluster in this process: a real store, workers that are rows.
struct cluster_here {
  folder where;
  fake_host host;
  recording_port port;
  head_services services;
  std::optional<replica_counts> counts;
  std::unique_ptr<registry::store> names;
  std::unique_ptr<store::blob_store> blobs;
  std::unique_ptr<head> all;
  std::uint64_t calls = 0;
  std::counting_semaphore<> downs{0};

  explicit cluster_here(bool mesh = false) {
    blobs = *store::blob_store::open(where.path / "blobs");
    services.blobs = blobs.get();
    services.facts.cluster = "local";
    services.shut_down = [this](std::chrono::milliseconds) { downs.release(); };
    start(mesh);
  }

  void start(bool mesh = false) {
    names = *registry::open_sqlite_store(
        where.path, [](std::string_view text) { return store::digest_of(text).bytes; });
    head::options options;
    options.store = names.get();
    options.host = mesh ? nullptr : &host;
    options.port = &port;
    options.services = &services;
    counts.emplace(where.path / "replicas");
    options.counts = &*counts;
    options.mesh = mesh;
    auto started = head::start(options);
    EXPECT_TRUE(started) << started.error().to_string();
    all = *std::move(started);
  }

  ~cluster_here() { all.reset(); }

  template <class Verb>
  std::uint64_t begin(const Verb& what, std::uint64_t connection = 1) {
    auto bytes = client::encode(client::control_request{verb_word<Verb>(), to_value(what)});
    all->ask(connection, ++calls, {"tester", 77, 1000}, bytes);
    return calls;
  }

  template <class Reply, class Verb>
  result<Reply> ask(const Verb& what) {
    auto got = port.wait(1, begin(what));
    if (got.why) return *got.why;
    return from_value<Reply>(*got.what);
  }

  template <class T>
  T item(std::uint64_t call) {
    auto got = port.item(1, call);
    EXPECT_TRUE(got) << "no item came";
    return got ? from_value<T>(*got).value() : T{};
  }

  std::string manifest(int salt, const signature& s = sample({"x"})) {
    auto content = "module " + std::to_string(salt);
    module::manifest m;
    m.module = {blobs->put(std::as_bytes(std::span(content))).value(), content.size()};
    m.symbol = "f";
    m.functions.push_back({"f", encode(s), false});
    m.compiler = "g++ 12";
    return module::print(m).value();
  }

  result<verbs::published> ship(int salt, std::string tag = "", const std::string& name = "a/b") {
    verbs::publish what;
    what.name = name;
    what.manifest = manifest(salt);
    what.tag = std::move(tag);
    what.why = "try";
    return ask<verbs::published>(what);
  }

  result<verbs::flipped> flip(std::uint32_t version, const std::string& tag = "prod") {
    verbs::tag what;
    what.flips.push_back({"a/b", tag, {{version, 10000}}, std::nullopt});
    what.why = "because";
    return ask<verbs::flipped>(what);
  }
};

TEST(head, shipping_starts_a_worker_moves_latest_and_the_tag_and_says_how_long_it_took) {
  cluster_here c;
  auto out = c.ship(1, "prod");
  ASSERT_TRUE(out) << out.error().to_string();
  EXPECT_EQ(out->version, 1u);
  EXPECT_FALSE(out->existed);
  EXPECT_DOUBLE_EQ(out->health_ms, 2.5);
  EXPECT_EQ(c.host.table().size(), 1u);
  auto route = c.ask<verbs::route>(verbs::resolve{"a/b@prod"});
  ASSERT_TRUE(route);
  EXPECT_EQ(route->versions.at(0).version, 1u);
  EXPECT_EQ(route->versions.at(0).replicas.size(), 1u);
  EXPECT_EQ(route->layout, "0-10000:1");
  EXPECT_TRUE(c.ask<verbs::route>(verbs::resolve{"a/b"})) << "a bare name is @latest";
  auto again = c.ship(1, "prod");
  EXPECT_TRUE(again->existed);
  EXPECT_EQ(again->version, 1u);
}

TEST(head, an_old_version_ends_after_the_flip_and_a_pinned_call_starts_it_again) {
  cluster_here c;
  ASSERT_TRUE(c.ship(1, "prod"));
  ASSERT_TRUE(c.ship(2, "prod"));
  ASSERT_TRUE(c.host.until(
      [](const auto& all) { return all.size() == 1 && all.begin()->second.order.version == 2; }));
  auto pinned = c.ask<verbs::route>(verbs::resolve{"a/b@1"});
  ASSERT_TRUE(pinned) << pinned.error().to_string();
  EXPECT_TRUE(pinned->tag.empty());
  EXPECT_EQ(pinned->versions.at(0).replicas.size(), 1u);
}

TEST(head, a_flip_is_acknowledged_after_every_gate_is_closed_and_followers_are_told) {
  cluster_here c;
  ASSERT_TRUE(c.ship(1, "prod"));
  ASSERT_TRUE(c.ship(2, "qa"));
  verbs::resolve what{"a/b@prod"};
  what.follow = true;
  auto call = c.begin(what);
  EXPECT_EQ(c.item<verbs::route>(call).versions.at(0).version, 1u);
  auto flipped = c.flip(2);
  ASSERT_TRUE(flipped) << flipped.error().to_string();
  EXPECT_EQ(flipped->before.at(0).split.at(0).version, 1u);
  EXPECT_EQ(flipped->after.at(0).split.at(0).version, 2u);
  auto route = c.item<verbs::route>(call);
  EXPECT_EQ(route.revision, flipped->revision);
  EXPECT_EQ(route.versions.at(0).version, 2u);
  for (const auto& [id, worker] : c.host.table())
    EXPECT_GE(worker.gates.at(route.tag_slot), flipped->revision) << "worker:" << id;
}

TEST(head, a_version_that_fails_its_health_call_takes_no_tag_and_the_old_one_serves_on) {
  cluster_here c;
  ASSERT_TRUE(c.ship(1, "prod"));
  c.host.unfit.insert(module::identity(c.manifest(2)).hex());
  auto bad = c.ship(2, "prod");
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("no weights"), std::string::npos) << bad.error().to_string();
  auto route = c.ask<verbs::route>(verbs::resolve{"a/b@prod"});
  EXPECT_EQ(route->versions.at(0).version, 1u);
  EXPECT_EQ(c.ask<verbs::route>(verbs::resolve{"a/b"})->versions.at(0).version, 1u);
}

TEST(head, a_flip_that_would_break_a_bound_caller_is_refused_unless_forced) {
  cluster_here c;
  ASSERT_TRUE(c.ship(1, "prod"));
  verbs::resolve what{"a/b@prod"};
  what.follow = true;
  what.signature = encode(sample({"x"}));
  c.item<verbs::route>(c.begin(what));
  verbs::publish other;
  other.name = "a/b";
  signature changed;
  changed.params.push_back({"x", shape_of<std::string>(), flow::single});
  changed.result = shape_of<int>();
  other.manifest = c.manifest(2, changed);
  other.tag = "prod";
  auto refused = c.ask<verbs::published>(other);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "would_break");
  EXPECT_NE(refused.error().message.find("tester (pid 77, uid 1000)"), std::string::npos)
      << refused.error().message;
  other.force = true;
  EXPECT_TRUE(c.ask<verbs::published>(other));
}

TEST(head, unknown_names_tags_versions_and_verbs_say_what_to_do) {
  cluster_here c;
  ASSERT_TRUE(c.ship(1, "prod"));
  EXPECT_NE(c.ask<verbs::route>(verbs::resolve{"a/c"}).error().message.find("did you mean 'a/b'?"),
            std::string::npos);
  EXPECT_EQ(c.ask<verbs::route>(verbs::resolve{"a/b@nope"}).error().code, "no_such_tag");
  EXPECT_EQ(c.ask<verbs::route>(verbs::resolve{"a/b@9"}).error().code, "no_such_version");
  EXPECT_EQ(c.ask<verbs::route>(verbs::resolve{"a//b"}).error().kind, kind::invalid);
  c.all->ask(1, 1000, {}, client::encode(client::control_request{"pss", {}}));
  EXPECT_NE(c.port.wait(1, 1000).why->message.find("'ps'"), std::string::npos);
  std::vector<std::byte> garbage(100, std::byte{0x7f});
  c.all->ask(1, 1001, {}, garbage);
  EXPECT_EQ(c.port.wait(1, 1001).why->kind, kind::invalid);
}

TEST(head, content_is_uploaded_piece_by_piece_and_publishing_needs_all_of_it) {
  cluster_here c;
  std::string content(100000, 'z');
  auto digest = store::digest_of(content).hex();
  module::manifest m;
  m.module = {store::digest_of(content), content.size()};
  m.symbol = "f";
  m.functions.push_back({"f", encode(sample({"x"})), false});
  m.compiler = "g++ 12";
  verbs::publish ship{"a/b", module::print(m).value()};
  EXPECT_EQ(c.ask<verbs::published>(ship).error().code, "content_missing");
  EXPECT_EQ(c.ask<verbs::blobs>(verbs::blobs_missing{{digest}})->digests,
            std::vector<std::string>{digest});
  const auto* bytes = reinterpret_cast<const std::byte*>(content.data());
  ASSERT_TRUE(c.ask<verbs::done>(verbs::upload{digest, 0, content.size(), {bytes, bytes + 60000}}));
  ASSERT_TRUE(c.ask<verbs::done>(
      verbs::upload{digest, 60000, content.size(), {bytes + 60000, bytes + content.size()}}));
  EXPECT_TRUE(c.ask<verbs::blobs>(verbs::blobs_missing{{digest}})->digests.empty());
  EXPECT_TRUE(c.ask<verbs::published>(ship));
}

TEST(head, rollback_yank_history_and_at_agree) {
  cluster_here c;
  ASSERT_TRUE(c.ship(1, "prod"));
  auto first = c.ask<verbs::route>(verbs::resolve{"a/b@prod"})->revision;
  ASSERT_TRUE(c.ship(2, "prod"));
  auto back = c.ask<verbs::flipped>(verbs::rollback{"a/b", "prod", std::nullopt, "slow"});
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(back->after.at(0).split.at(0).version, 1u);
  EXPECT_EQ(c.ask<verbs::done>(verbs::yank{"a/b", 1}).error().code, "tagged");
  ASSERT_TRUE(c.flip(1, "latest"));
  EXPECT_TRUE(c.ask<verbs::done>(verbs::yank{"a/b", 2, false, "bad"}));
  EXPECT_EQ(c.flip(2).error().code, "yanked");
  const auto pinned = c.ask<verbs::route>(verbs::resolve{"a/b@2"});
  ASSERT_TRUE(pinned) << "a yanked version answers whoever pins it: " << pinned.error().to_string();
  EXPECT_EQ(pinned->versions.at(0).replicas.size(), 1u);
  auto rows = c.ask<verbs::changes>(verbs::history{"a/b", "prod"});
  ASSERT_EQ(rows->rows.size(), 3u);
  EXPECT_EQ(rows->rows[0].what, "rollback");
  EXPECT_EQ(rows->rows[0].why, "slow");
  verbs::at then{"a/b", "prod", "", first};
  EXPECT_EQ(c.ask<verbs::pointed>(then)->split.at(0).version, 1u);
}

TEST(head, a_watcher_gets_every_change_in_order_and_the_new_ones_as_they_come) {
  cluster_here c;
  ASSERT_TRUE(c.ship(1, "prod"));
  auto call = c.begin(verbs::watch{"a/", 1});
  std::uint64_t expected = 1;
  for (const char* what : {"create", "publish", "flip", "flip"}) {
    auto row = c.item<verbs::change>(call);
    EXPECT_EQ(row.revision, expected++);
    EXPECT_EQ(row.what, what);
  }
  ASSERT_TRUE(c.ship(2));
  EXPECT_EQ(c.item<verbs::change>(call).revision, expected);
  c.all->cancel(1, call);
  EXPECT_EQ(c.port.wait(1, call).why->kind, kind::cancelled);
}

TEST(head, a_crashed_replica_is_replaced_and_followers_are_told) {
  cluster_here c;
  ASSERT_TRUE(c.ship(1, "prod"));
  verbs::resolve what{"a/b@prod"};
  what.follow = true;
  auto call = c.begin(what);
  auto target = c.item<verbs::route>(call).versions.at(0).replicas.at(0).target;
  c.host.end(c.host.table().begin()->first);
  EXPECT_TRUE(c.item<verbs::route>(call).versions.at(0).replicas.empty());
  auto route = c.item<verbs::route>(call);
  ASSERT_EQ(route.versions.at(0).replicas.size(), 1u);
  EXPECT_NE(route.versions.at(0).replicas[0].target, target);
}

TEST(head, a_connection_that_goes_lets_go_of_logs_routes_and_pins) {
  cluster_here c;
  ASSERT_TRUE(c.ship(1, "prod"));
  verbs::logs what{"a/"};
  what.follow = true;
  auto call = c.begin(what, 2);
  ASSERT_TRUE(c.host.until_readers(1));
  EXPECT_TRUE(c.port.item(2, call)) << "an old line comes first";
  c.host.print("hello");
  auto row = c.port.item(2, call);
  ASSERT_TRUE(row);
  EXPECT_EQ(from_value<verbs::log_row>(*row)->line, "hello");
  c.all->gone(2);
  EXPECT_TRUE(c.host.until_readers(0));
}

TEST(head, reading_verbs_tell_what_is_there) {
  cluster_here c;
  ASSERT_TRUE(c.ship(1, "prod"));
  auto names = c.ask<verbs::names>(verbs::ls{});
  ASSERT_EQ(names->rows.size(), 1u);
  EXPECT_EQ(names->rows[0].replicas, 1u);
  EXPECT_NE(names->rows[0].signature.find("int"), std::string::npos);
  auto described = c.ask<verbs::described>(verbs::describe{"a/b"});
  EXPECT_EQ(described->versions.at(0).why, "try");
  EXPECT_EQ(described->versions.at(0).published_by, "tester (pid 77, uid 1000)");
  EXPECT_EQ(c.ask<verbs::cluster_status>(verbs::status{})->workers, 1u);
  EXPECT_EQ(c.ask<verbs::processes>(verbs::ps{})->rows.at(0).worker, "worker:1");
  EXPECT_EQ(c.ask<verbs::counters>(verbs::stats{})->rows.at(0).calls, 42u);
  EXPECT_EQ(c.ask<verbs::log_rows>(verbs::logs{"a/"})->rows.at(0).line, "an old line");
  EXPECT_TRUE(c.ask<verbs::done>(verbs::down{}));
  EXPECT_TRUE(c.downs.try_acquire_for(std::chrono::seconds(5)));
}

TEST(head, the_fate_of_a_call_is_told_when_its_workers_death_is_known) {
  cluster_here c;
  ASSERT_TRUE(c.ship(1, "prod"));
  const auto call = c.begin(verbs::fate{"worker:1", 1, 1});
  ASSERT_TRUE(c.host.until_asked(1)) << "the worker lives as far as the node knows";
  c.host.end(1);
  const auto told = c.port.wait(1, call);
  ASSERT_TRUE(told.what) << told.why->to_string();
  EXPECT_TRUE(from_value<verbs::fated>(*told.what)->ended);
}

TEST(head, several_flips_happen_together_or_not_at_all) {
  cluster_here c;
  ASSERT_TRUE(c.ship(1, "prod"));
  ASSERT_TRUE(c.ship(2, "qa"));
  const auto seen = c.ask<verbs::route>(verbs::resolve{"a/b@prod"})->revision;
  verbs::tag both;
  both.flips.push_back({"a/b", "prod", {{1, 7500}, {2, 2500}}, seen});
  both.flips.push_back({"a/b", "qa", {{1, 10000}}, std::nullopt});
  both.why = "swap";
  const auto done = c.ask<verbs::flipped>(both);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(c.ask<verbs::route>(verbs::resolve{"a/b@prod"})->layout, "0-7500:1,7500-10000:2");
  EXPECT_EQ(c.ask<verbs::route>(verbs::resolve{"a/b@qa"})->versions.at(0).version, 1u);
  both.flips[0].split = {{2, 10000}};  // `seen` is old by now
  both.flips[1].split = {{2, 10000}};
  const auto refused = c.ask<verbs::flipped>(both);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, kind::conflict);
  EXPECT_EQ(c.ask<verbs::route>(verbs::resolve{"a/b@qa"})->versions.at(0).version, 1u)
      << "the second flip happened without the first";
}

/// Ports that this process listens on.
std::size_t listening_ports() {
  std::set<std::string> inodes;
  for (const char* table : {"/proc/self/net/tcp", "/proc/self/net/tcp6"}) {
    std::ifstream lines(table);
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) {
      std::istringstream words(line);
      std::vector<std::string> columns{std::istream_iterator<std::string>(words), {}};
      constexpr const char* listens = "0A";
      if (columns.size() > 9 && columns[3] == listens) inodes.insert("socket:[" + columns[9] + "]");
    }
  }
  std::size_t mine = 0;
  for (const auto& fd : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    mine += inodes.count(fs::read_symlink(fd.path(), gone).string());
  }
  return mine;
}

TEST(head, opens_no_port_for_other_nodes_until_it_is_told_to) {
  {
    cluster_here one_node;
    ASSERT_TRUE(one_node.ship(1, "prod"));
    EXPECT_EQ(listening_ports(), 0u);
  }
  cluster_here meshed(true);
  EXPECT_EQ(listening_ports(), 0u);
  ASSERT_TRUE(meshed.all->open_mesh());
  EXPECT_EQ(listening_ports(), 1u);
}

TEST(head, scaling_and_restarting_replace_replicas_without_a_gap) {
  cluster_here c;
  ASSERT_TRUE(c.ship(1, "prod"));
  EXPECT_TRUE(c.ask<verbs::done>(verbs::scale{"a/b", 1, 3}));
  EXPECT_TRUE(c.host.until([](const auto& all) { return all.size() == 3; }));
  auto before = c.host.table();
  auto ok = c.ask<verbs::done>(verbs::restart{"a/b"});
  ASSERT_TRUE(ok) << ok.error().to_string();
  EXPECT_TRUE(c.host.until([&](const auto& all) {
    return all.size() == 3 && std::none_of(all.begin(), all.end(), [&](const auto& one) {
             return before.contains(one.first);
           });
  }));
}

TEST(head, what_tags_point_to_is_started_again_with_the_cluster) {
  cluster_here c;
  ASSERT_TRUE(c.ship(1, "prod"));
  ASSERT_TRUE(c.ship(2));
  ASSERT_TRUE(c.ask<verbs::done>(verbs::scale{"a/b", 2, 3}));
  c.all.reset();
  c.names.reset();
  for (const auto& [id, one] : c.host.table())
    c.host.end(id);
  c.start();
  EXPECT_TRUE(c.host.until([](const auto& all) { return all.size() == 4; }))
      << "prod and three of latest";
  EXPECT_EQ(c.ask<verbs::route>(verbs::resolve{"a/b@prod"})->versions.at(0).version, 1u);
}

TEST(head, a_hundred_flips_all_close_their_gates_first) {
  cluster_here c;
  ASSERT_TRUE(c.ship(1, "one"));
  ASSERT_TRUE(c.ship(2, "two"));
  std::vector<double> took;
  for (int i = 0; i < 100; ++i) {
    auto out = c.flip(1 + static_cast<std::uint32_t>(i) % 2);
    ASSERT_TRUE(out) << out.error().to_string();
    took.push_back(out->ms);
    for (const auto& [id, worker] : c.host.table()) {
      auto newest = std::max_element(worker.gates.begin(), worker.gates.end(),
                                     [](auto& a, auto& b) { return a.second < b.second; });
      ASSERT_EQ(newest->second, out->revision);
    }
  }
  std::sort(took.begin(), took.end());
  std::printf("flip acknowledged: median %.2f ms, worst %.2f ms\n", took[50], took[99]);
  EXPECT_EQ(c.host.started, 2) << "tags of their own keep both versions live";
}

TEST(head, a_node_in_another_process_serves_just_the_same) {
  int to_child[2], from_child[2];
  ASSERT_EQ(::pipe(to_child), 0);
  ASSERT_EQ(::pipe(from_child), 0);
  pid_t child = ::fork();
  if (child == 0) {
    ::close(to_child[1]);
    std::uint16_t port = 0;
    if (::read(to_child[0], &port, sizeof port) != sizeof port) ::_exit(2);
    fake_host host;
    auto node = remote_node::join(port, host, std::chrono::seconds(5));
    char joined = node ? 'y' : 'n';
    if (::write(from_child[1], &joined, 1) != 1) ::_exit(3);
    char more = 0;
    while (::read(to_child[0], &more, 1) > 0) {
    }
    ::_exit(0);  // as a node that crashes: nothing is said
  }
  ::close(to_child[0]);
  cluster_here c(true);
  auto port = c.all->open_mesh();
  ASSERT_TRUE(port) << port.error().to_string();
  ASSERT_EQ(::write(to_child[1], &*port, sizeof *port), static_cast<ssize_t>(sizeof *port));
  char joined = 0;
  ASSERT_EQ(::read(from_child[0], &joined, 1), 1);
  ASSERT_EQ(joined, 'y');
  auto out = c.ship(1, "prod");
  ASSERT_TRUE(out) << out.error().to_string();
  ASSERT_TRUE(c.ship(2));
  EXPECT_TRUE(c.flip(2)) << "gates close on the other node";
  EXPECT_EQ(c.ask<verbs::processes>(verbs::ps{})->rows.empty(), false);
  EXPECT_EQ(c.ask<verbs::counters>(verbs::stats{})->rows.at(0).calls, 42u);
  verbs::resolve what{"a/b@prod"};
  what.follow = true;
  auto call = c.begin(what);
  EXPECT_EQ(c.item<verbs::route>(call).versions.at(0).replicas.size(), 1u);
  ::close(to_child[1]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(c.item<verbs::route>(call).versions.at(0).replicas.empty())
      << "a lost node's replicas are gone at once";
  auto nowhere = c.flip(1);
  ASSERT_FALSE(nowhere) << "a flip never meets a version that cannot answer";
  EXPECT_NE(nowhere.error().to_string().find("no node"), std::string::npos)
      << nowhere.error().to_string();
}

}  // namespace
