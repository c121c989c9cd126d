#include "runtime/client/find_cluster.hpp"

#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>
#include <map>
#include <string>

namespace berth::client {
namespace {

using variables = std::map<std::string, std::string, std::less<>>;

result<found_cluster> find(const std::string& argument, const variables& set = {}) {
  static const tests::temp_folder nothing_runs_here;
  base::folders where;
  where.runtime = nothing_runs_here.path();
  return find_cluster(
      argument,
      [&](const char* name) -> std::optional<std::string> {
        const auto at = set.find(std::string_view(name));
        if (at == set.end()) return std::nullopt;
        return at->second;
      },
      where);
}

TEST(find_cluster, takes_the_argument_before_the_variable_before_what_runs) {
  const auto both = find("unix:/argued", {{"BERTH_HEAD", "unix:/named"}});
  EXPECT_EQ(std::get<net::unix_address>(both->head).path, "/argued");
  const auto named = find("", {{"BERTH_HEAD", "unix:/named"}});
  EXPECT_EQ(std::get<net::unix_address>(named->head).path, "/named");
  EXPECT_EQ(find("").error().code, "no_cluster");
}

TEST(find_cluster, a_named_folder_without_a_cluster_is_an_error_and_nothing_else_is_tried) {
  const tests::temp_folder empty;
  const auto dead = find("", {{"BERTH_HEAD", empty.path().string() + "/"}});
  ASSERT_FALSE(dead);
  EXPECT_EQ(dead.error().kind, kind::missing);
  EXPECT_EQ(dead.error().code, "named_cluster_gone") << "another one would be started instead";
  EXPECT_EQ(find("nonsense").error().code, "bad_address");
}

TEST(find_cluster, an_address_needs_the_token_and_a_loopback_host) {
  const tests::temp_folder here;
  const auto token = (here.path() / "token").string();
  const auto secret = net::make_token(token).value();
  EXPECT_EQ(find("127.0.0.1:7000").error().code, "no_token");
  for (const char* words : {"127.0.0.1:7000", "tcp:127.0.0.1:7000"}) {
    const auto found = find(words, {{"BERTH_TOKEN_FILE", token}});
    ASSERT_TRUE(found) << found.error().to_string();
    const auto& where = std::get<net::tcp_address>(found->head);
    EXPECT_EQ(where.host, "127.0.0.1");
    EXPECT_EQ(where.port, 7000);
    EXPECT_EQ(where.secret, secret);
  }
  EXPECT_EQ(find("127.0.0.1:0", {{"BERTH_TOKEN_FILE", token}}).error().code, "bad_address");
  EXPECT_EQ(find("127.0.0.1:http", {{"BERTH_TOKEN_FILE", token}}).error().code, "bad_address");
  for (const char* words : {"10.0.0.1:7000", "0.0.0.0:7000"})
    EXPECT_NE(find(words).error().message.find("TLS"), std::string::npos) << words;
}

}  // namespace
}  // namespace berth::client
