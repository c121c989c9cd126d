#include "tests/net/pair.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <utility>

namespace berth::net::testing {

socket_pair make_sockets(over lane) {
  if (lane != over::tcp) {
    int two[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, two), 0);
    return {base::unique_fd(two[0]), base::unique_fd(two[1])};
  }
  const base::unique_fd listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  EXPECT_EQ(::bind(listening.get(), reinterpret_cast<sockaddr*>(&at), size), 0);
  EXPECT_EQ(::listen(listening.get(), 1), 0);
  ::getsockname(listening.get(), reinterpret_cast<sockaddr*>(&at), &size);
  base::unique_fd caller(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(caller.get(), reinterpret_cast<sockaddr*>(&at), size), 0);
  base::unique_fd server(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
  return {std::move(caller), std::move(server)};
}

pair::pair(over lane,
           std::function<void(server::options&)> tune_server,
           std::function<void(connect_options&)> tune_caller)
    : tune_caller_(std::move(tune_caller)) {
  auto threads = net::driver::start();
  EXPECT_TRUE(threads);
  drives = *std::move(threads);
  server::options how;
  how.program = "server-under-test";
  if (tune_server) tune_server(how);
  auto started = net::server::start(does, how);
  EXPECT_TRUE(started);
  serves = *std::move(started);
  link = another(lane);
}

std::unique_ptr<net::link> pair::another(over lane) {
  auto sockets = make_sockets(lane);
  accepted one;
  one.socket = std::move(sockets.server);
  one.over_tcp = lane == over::tcp;
  serves->adopt(std::move(one));
  connect_options how;
  how.program = "test";
  how.offers_ring = lane == over::ring;
  how.calling.drives = drives.get();
  if (tune_caller_) tune_caller_(how);
  auto made = connect_over(std::move(sockets.caller), how);
  EXPECT_TRUE(made) << made.error().to_string();
  return made ? *std::move(made) : nullptr;
}

std::string call(net::link& link, std::string_view body) {
  pending slot;
  frame_header header;
  header.kind = frame_kind::call;
  auto open = link.begin(slot, header, body.size(), {}, in(10s));
  EXPECT_TRUE(open) << slot.error().to_string();
  if (!open) return {};
  if (!body.empty()) std::memcpy(open.body(), body.data(), body.size());
  open.commit();
  EXPECT_EQ(link.wait(slot, in(10s)), completion::answered);
  return slot.how() == completion::answered ? text_of(slot.answer().body.bytes()) : std::string();
}

}  // namespace berth::net::testing
