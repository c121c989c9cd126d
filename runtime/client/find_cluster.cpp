#include "runtime/client/find_cluster.hpp"

#include "runtime/net/socket_address.hpp"

#include <charconv>
#include <string_view>
#include <utility>

namespace berth::client {
namespace {

constexpr const char* socket_leaf = "control.sock";

result<found_cluster> over_tcp(std::string_view words, const base::environment& env) {
  const auto colon = words.rfind(':');
  net::tcp_address where;
  where.host = words.substr(0, colon);
  const auto port = words.substr(colon + 1);
  const auto [end, wrong] = std::from_chars(port.data(), port.data() + port.size(), where.port);
  if (wrong != std::errc() || end != port.data() + port.size() || where.port == 0)
    return fail(kind::invalid, "bad_address", std::string(words) + " has no port from 1 to 65535");
  if (const auto served = net::socket_address::of(where); !served) return served.error();
  const auto file = env("BERTH_TOKEN_FILE");
  if (!file)
    return fail(
        kind::denied, "no_token",
        "an address needs the cluster's token: set BERTH_TOKEN_FILE, or name the runtime folder");
  auto secret = net::read_token(*file);
  if (!secret) return std::move(secret).error();
  where.secret = *secret;
  return found_cluster{std::move(where), {}, false};
}

}  // namespace

found_cluster found_from(const process::cluster_state& state) {
  const auto socket = state.facts.find("socket");
  const auto path =
      socket != state.facts.end() ? socket->second : (state.runtime / socket_leaf).string();
  return {net::unix_address{path}, state.runtime, state.embedded};
}

result<found_cluster> cluster_at(const std::string& words, const base::environment& env) {
  if (words.starts_with("unix:"))
    return found_cluster{net::unix_address{words.substr(5)}, {}, false};
  if (words.starts_with("tcp:")) return over_tcp(std::string_view(words).substr(4), env);
  if (words.find('/') != std::string::npos) {
    const auto state = process::read_cluster_state(words);
    if (state) return found_from(*state);
    auto why = error_info(state.error()).at("while looking for the cluster of " + words);
    // A cluster that was named and is not there is no reason to start another one.
    if (why.code == "no_cluster") why.code = "named_cluster_gone";
    return why;
  }
  if (words.find(':') != std::string::npos) return over_tcp(words, env);
  return fail(
      kind::invalid, "bad_address",
      "\"" + words + "\" names no cluster: give a runtime folder, unix:PATH, or 127.0.0.1:PORT");
}

result<found_cluster> find_cluster(const std::string& argument,
                                   const base::environment& env,
                                   const base::folders& where) {
  if (!argument.empty()) return cluster_at(argument, env);
  if (const auto named = env("BERTH_HEAD")) return cluster_at(*named, env);
  const auto state = process::read_cluster_state(where.runtime);
  if (state) return found_from(*state);
  if (state.error().kind != kind::missing && state.error().kind != kind::disconnected)
    return state.error();
  return fail(kind::missing, "no_cluster", "no cluster runs here: start one with `berth up`");
}

}  // namespace berth::client
