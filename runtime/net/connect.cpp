// Connecting: socket, preamble, hello, lane.

#include "runtime/net/blocking.hpp"
#include "runtime/net/channel.hpp"
#include "runtime/net/endpoint.hpp"
#include "runtime/net/hello.hpp"
#include "runtime/net/preamble.hpp"
#include "runtime/net/ring_lane.hpp"
#include "runtime/net/socket_address.hpp"
#include "runtime/net/socket_lane.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <utility>

namespace berth::net {
namespace {

result<base::unique_fd> connected(const address& where, base::time_point deadline) {
  auto to = socket_address::of(where);
  if (!to) return to.error();
  base::unique_fd socket(::socket(to->family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket)
    return fail(kind::overloaded, "out_of_descriptors",
                "no descriptor left for a connection: raise the limit of open files");
  int status = ::connect(socket.get(), to->raw(), to->size()) == 0 ? 0 : errno;
  if (status == EINPROGRESS) {
    pollfd on{socket.get(), POLLOUT, 0};
    if (::poll(&on, 1, base::poll_timeout_ms(deadline, 60'000)) <= 0)
      return fail(kind::timed_out, "not_started",
                  "no connection to " + to_string(where) + " in time");
    socklen_t size = sizeof status;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &status, &size);
  }
  if (status == EAGAIN)
    return fail(kind::overloaded, "backlog_full",
                to_string(where) + " has too many callers waiting");
  if (status == EACCES || status == EPERM)
    return fail(kind::denied, "not_yours", "no permission to connect to " + to_string(where));
  if (status != 0)
    return fail(kind::disconnected, "nobody_listens",
                "nobody listens at " + to_string(where) + ": "
                    + std::strerror(status));  // NOLINT(concurrency-mt-unsafe)
  return socket;
}

struct local_facts {
  std::int64_t pid = 0;
  std::int64_t uid = -1;
  bool is_local = false;
};

local_facts facts_of_socket(int socket) {
  int domain = 0;
  socklen_t size = sizeof domain;
  ::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size);
  local_facts facts;
  facts.is_local = domain == AF_UNIX;
  ucred peer{};
  size = sizeof peer;
  if (facts.is_local && ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) {
    facts.pid = peer.pid;
    facts.uid = peer.uid;
  }
  return facts;
}

struct ring_or_reason {
  std::optional<ring_offer> ring;
  std::string reason;
};

ring_or_reason offer_of(const connect_options& how, bool is_local) {
  if (!is_local) return {std::nullopt, "the caller came over TCP"};
  if (!how.offers_ring) return {std::nullopt, "the caller was told not to use shared memory"};
  auto made = make_ring_offer(how.ring_bytes);
  if (!made) return {std::nullopt, made.error().message};
  return {*std::move(made), {}};
}

result<welcome> greet(int socket,
                      const hello& words,
                      const std::optional<ring_offer>& ring,
                      base::time_point deadline) {
  const auto bytes = encode(words);
  std::vector<int> fds;
  if (ring) fds = {ring->memory.fd.get(), ring->bell_of_caller.get(), ring->bell_of_server.get()};
  // A node that refuses may have closed already; what it said before is still there to read.
  const auto sent = send_all(socket, bytes, fds, deadline);
  std::array<std::byte, greeting_prefix_bytes + greeting_bytes_max> answer{};
  const std::span<std::byte> prefix(answer.data(), greeting_prefix_bytes);
  if (auto ok = receive_all(socket, prefix, nullptr, 0, deadline); !ok)
    return sent ? ok.error() : sent.error();
  const auto size = greeting_size(prefix);
  if (!size) return size.error();
  const std::span<std::byte> body(answer.data() + greeting_prefix_bytes, *size);
  if (auto ok = receive_all(socket, body, nullptr, 0, deadline); !ok) return ok.error();
  auto theirs = decode_welcome(body);
  if (!theirs) return theirs.error();
  if (!theirs->refused.message.empty()) return theirs->refused;
  if (auto same_version = check_protocol(theirs->protocol, theirs->version); !same_version)
    return same_version.error();
  if (theirs->credits == 0 || theirs->credits > calls_in_flight_max)
    return fail(kind::invalid, "bad_hello", "the server grants an impossible number of credits");
  return theirs;
}

}  // namespace

std::string to_string(const address& where) {
  if (const auto* local = std::get_if<unix_address>(&where)) return "unix:" + local->path;
  const auto& tcp = std::get<tcp_address>(where);
  return tcp.host + ":" + std::to_string(tcp.port);
}

std::optional<std::string_view> target::worker_id() const noexcept {
  constexpr std::string_view prefix = "worker:";
  const std::string_view all = text;
  if (!all.starts_with(prefix)) return std::nullopt;
  return all.substr(prefix.size());
}

result<std::unique_ptr<link>> connect(const address& where,
                                      const target& to,
                                      const connect_options& how) {
  const auto deadline = base::after(how.greeting_max);
  auto socket = connected(where, deadline);
  if (!socket) return std::move(socket).error().at("while connecting to " + to_string(where));
  preamble_facts facts{to, {}};
  if (const auto* tcp = std::get_if<tcp_address>(&where)) facts.secret = tcp->secret;
  const auto first = encode(facts);
  if (!first) return first.error();
  if (auto ok = send_all(socket->get(), *first, {}, deadline); !ok)
    return std::move(ok).error().at("while connecting to " + to_string(where));
  auto open = connect_over(*std::move(socket), how);
  if (!open)
    return std::move(open).error().at("while connecting to " + to.text + " at " + to_string(where));
  return open;
}

result<std::unique_ptr<link>> connect_over(base::unique_fd socket, const connect_options& how) {
  const auto deadline = base::after(how.greeting_max);
  ::fcntl(socket.get(), F_SETFL, ::fcntl(socket.get(), F_GETFL) | O_NONBLOCK);
  const auto facts = facts_of_socket(socket.get());
  auto offer = offer_of(how, facts.is_local);
  hello words;
  words.program = how.program;
  words.ring_bytes = offer.ring ? offer.ring->ring_bytes : 0;
  words.no_ring_reason = offer.reason;
  auto theirs = greet(socket.get(), words, offer.ring, deadline);
  if (!theirs) return std::move(theirs).error();
  std::unique_ptr<lane> over;
  if (theirs->ring) {
    if (!offer.ring)
      return fail(kind::invalid, "bad_hello", "the server took a ring that was not offered");
    over = make_ring_lane(*std::move(offer.ring), std::move(socket));
  } else {
    auto made =
        make_socket_lane(std::move(socket), facts.is_local ? socket_kind::local : socket_kind::tcp);
    if (!made) return std::move(made).error();
    over = *std::move(made);
  }
  peer_facts peer;
  peer.program = theirs->program;
  peer.berth_version = theirs->version;
  peer.pid = facts.pid;
  peer.uid = facts.uid;
  peer.lane = over->name();
  peer.lane_reason = theirs->ring ? std::string() : theirs->lane_reason;
  channel::limits bounds;
  bounds.segment_bytes_max = how.segment_bytes_max;
  return std::make_unique<link>(std::make_shared<channel>(std::move(over), bounds), std::move(peer),
                                theirs->credits, how.calling);
}

}  // namespace berth::net
