// The listening port of a node: accepts, reads preambles by exact length, and hands complete ones on.

#include "runtime/net/endpoint.hpp"
#include "runtime/net/hello.hpp"
#include "runtime/net/pass_fd.hpp"
#include "runtime/net/preamble.hpp"
#include "runtime/net/socket_address.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <unordered_map>
#include <utility>

namespace berth::net {
namespace {

constexpr int backlog = 256;
constexpr std::chrono::milliseconds pause_without_descriptors{100};

/// A connection whose preamble is not complete.
struct half_open {
  base::unique_fd socket;
  bool over_tcp = false;
  preamble bytes{};
  std::size_t got = 0;
  base::time_point deadline;
};

struct open_port {
  base::unique_fd socket;
  net::address where;
  bool over_tcp = false;
};

std::string why(int error) {
  return std::strerror(error);
}  // NOLINT(concurrency-mt-unsafe)

/// Whether somebody answers there; a file that nobody listens behind is a leftover.
bool answers(const socket_address& where) {
  const base::unique_fd probe(
      ::socket(where.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return probe && (::connect(probe.get(), where.raw(), where.size()) == 0 || errno == EAGAIN);
}

result<open_port> open_at(const address& where) {
  const auto at = socket_address::of(where);
  if (!at) return at.error();
  open_port port;
  port.where = where;
  port.over_tcp = std::holds_alternative<tcp_address>(where);
  port.socket.reset(::socket(at->family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!port.socket)
    return fail(kind::overloaded, "out_of_descriptors", "no descriptor to listen with");
  const auto in_use = [&] {
    return fail(kind::conflict, "address_in_use",
                to_string(where) + " is in use: another process listens there");
  };
  if (!port.over_tcp) {
    if (answers(*at)) return in_use();
    ::unlink(std::get<unix_address>(where).path.c_str());
  }
  const int yes = 1;
  if (port.over_tcp) ::setsockopt(port.socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const int bound = ::bind(port.socket.get(), at->raw(), at->size()) == 0 ? 0 : errno;
  if (bound == EADDRINUSE) return in_use();
  if (bound != 0)
    return fail(bound == EACCES ? kind::denied : kind::failed, "cannot_listen",
                "cannot listen at " + to_string(where) + ": " + why(bound));
  // Before listen nobody can connect, so the file is its owner's from the first connection on.
  if (!port.over_tcp) ::chmod(std::get<unix_address>(where).path.c_str(), 0600);
  if (::listen(port.socket.get(), backlog) != 0)
    return fail(kind::failed, "cannot_listen", "cannot listen at " + to_string(where));
  if (port.over_tcp) {
    sockaddr_in chosen{};
    socklen_t size = sizeof chosen;
    ::getsockname(port.socket.get(), reinterpret_cast<sockaddr*>(&chosen), &size);
    std::get<tcp_address>(port.where).port = ntohs(chosen.sin_port);
  }
  return port;
}

void refuse(int socket, const error_info& reason) {
  welcome no;
  no.refused = reason;
  const auto bytes = encode(no);
  static_cast<void>(!::send(socket, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
  ::shutdown(socket, SHUT_WR);
}

}  // namespace

struct listener::state {
  options how;
  on_accepted then;
  std::vector<open_port> ports;
  base::unique_fd polls;
  base::unique_fd bell;
  std::unordered_map<std::uint64_t, half_open> waiting;
  std::uint64_t last_id = 1'000;  // below: ports and the bell
  base::time_point accepts_again = base::time_point::min();
  bool accepting = true;
  std::atomic<bool> stopping{false};
  std::thread thread;

  void run();
  void listen_to_ports(bool yes);
  void accept_all(open_port& port);
  void read(std::uint64_t id);
  void complete(half_open done);
  void end_late();
  int limit_ms() const;
};

void listener::state::run() {
  listen_to_ports(true);
  std::array<epoll_event, 32> events{};
  while (!stopping.load(std::memory_order_acquire)) {
    const int awake = ::epoll_wait(polls.get(), events.data(), events.size(), limit_ms());
    for (int i = 0; i < awake; ++i) {
      const auto id = events[static_cast<std::size_t>(i)].data.u64;
      if (id == 0) continue;  // the bell: stopping
      if (id <= ports.size())
        accept_all(ports[id - 1]);
      else
        read(id);
    }
    end_late();
    if (!accepting && base::steady::now() >= accepts_again) listen_to_ports(true);
  }
}

int listener::state::limit_ms() const {
  auto next = accepting ? base::never : accepts_again;
  for (const auto& [id, one] : waiting)
    next = std::min(next, one.deadline);
  return base::poll_timeout_ms(next, 60'000);
}

// Out of descriptors or of places the port rests a while: its callers wait in the kernel's queue, and nothing spins.
void listener::state::listen_to_ports(bool yes) {
  accepting = yes;
  accepts_again = base::after(pause_without_descriptors);
  for (std::size_t i = 0; i < ports.size(); ++i) {
    epoll_event watched{};
    watched.events = EPOLLIN;
    watched.data.u64 = i + 1;
    ::epoll_ctl(polls.get(), yes ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, ports[i].socket.get(), &watched);
  }
}

void listener::state::accept_all(open_port& port) {
  while (accepting) {
    if (waiting.size() >= how.half_open_max) return listen_to_ports(false);
    base::unique_fd socket(
        ::accept4(port.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
        listen_to_ports(false);
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return;
    }
    const auto id = ++last_id;
    epoll_event reads{};
    reads.events = EPOLLIN | EPOLLRDHUP;
    reads.data.u64 = id;
    ::epoll_ctl(polls.get(), EPOLL_CTL_ADD, socket.get(), &reads);
    half_open one;
    one.socket = std::move(socket);
    one.over_tcp = port.over_tcp;
    one.deadline = base::after(how.preamble_max);
    waiting.emplace(id, std::move(one));
    read(id);
  }
}

// Reads up to the preamble's end and not a byte further: what follows is the target's.
void listener::state::read(std::uint64_t id) {
  const auto found = waiting.find(id);
  if (found == waiting.end()) return;
  auto& one = found->second;
  while (one.got < one.bytes.size()) {
    const auto rest = std::span(one.bytes).subspan(one.got);
    const auto got = ::recv(one.socket.get(), rest.data(), rest.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      waiting.erase(found);
      return;
    }
    one.got += static_cast<std::size_t>(got);
  }
  ::epoll_ctl(polls.get(), EPOLL_CTL_DEL, one.socket.get(), nullptr);
  auto done = std::move(one);
  waiting.erase(found);
  complete(std::move(done));
}

void listener::state::complete(half_open done) {
  const int raw = done.socket.get();
  const auto facts = decode(done.bytes);
  if (!facts) return refuse(raw, facts.error());
  accepted one;
  one.target = facts->to;
  one.over_tcp = done.over_tcp;
  if (done.over_tcp && !same(facts->secret, how.on_tcp->secret))
    return refuse(raw, fail(kind::denied, "wrong_token",
                            "the token is not this cluster's: use its token file"));
  ucred peer{};
  socklen_t size = sizeof peer;
  if (!done.over_tcp && ::getsockopt(raw, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) {
    one.pid = peer.pid;
    one.uid = peer.uid;
  }
  // The refusal needs a descriptor of its own: `then` takes the socket with it.
  const base::unique_fd spare(::fcntl(raw, F_DUPFD_CLOEXEC, 0));
  one.socket = std::move(done.socket);
  const auto ok = then(std::move(one));
  if (!ok && spare) refuse(spare.get(), ok.error());
}

void listener::state::end_late() {
  const auto now = base::steady::now();
  std::erase_if(waiting, [&](const auto& each) { return each.second.deadline <= now; });
}

result<std::unique_ptr<listener>> listener::start(options where, on_accepted then) {
  auto self = std::make_unique<state>();
  const auto add = [&](const address& at) -> result<void> {
    auto port = open_at(at);
    if (!port) return std::move(port).error();
    self->ports.push_back(*std::move(port));
    return {};
  };
  if (where.on_unix)
    if (auto ok = add(*where.on_unix); !ok) return ok.error();
  if (where.on_tcp)
    if (auto ok = add(*where.on_tcp); !ok) return ok.error();
  self->polls.reset(::epoll_create1(EPOLL_CLOEXEC));
  self->bell.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!self->polls || !self->bell)
    return fail(kind::overloaded, "out_of_descriptors", "no descriptors to listen with");
  epoll_event own{};
  own.events = EPOLLIN;
  ::epoll_ctl(self->polls.get(), EPOLL_CTL_ADD, self->bell.get(), &own);
  self->how = std::move(where);
  self->then = std::move(then);
  auto* raw = self.get();
  self->thread = std::thread([raw] { raw->run(); });
  return std::unique_ptr<listener>(new listener(std::move(self)));
}

listener::listener(std::unique_ptr<state> self) : self_(std::move(self)) {}

listener::~listener() {
  self_->stopping.store(true, std::memory_order_release);
  const std::uint64_t one = 1;
  static_cast<void>(!::write(self_->bell.get(), &one, sizeof one));
  self_->thread.join();
  for (const auto& port : self_->ports)
    if (const auto* local = std::get_if<unix_address>(&port.where)) ::unlink(local->path.c_str());
}

std::vector<address> listener::addresses() const {
  std::vector<address> all;
  for (const auto& port : self_->ports)
    all.push_back(port.where);
  return all;
}

}  // namespace berth::net
