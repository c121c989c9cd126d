#include "runtime/net/greeting.hpp"

#include "runtime/net/pass_fd.hpp"
#include "runtime/net/ring_lane.hpp"
#include "runtime/net/socket_lane.hpp"

#include <cerrno>
#include <sys/socket.h>
#include <utility>

namespace berth::net {
namespace {

constexpr std::size_t offer_descriptors = 3;  // memory file, bell of the caller, bell of the server

}  // namespace

greeting::greeting(accepted socket, base::time_point deadline)
    : socket_(std::move(socket)), deadline_(deadline) {}

greeting::progress greeting::go_on(const terms& ours) {
  auto whole = read();
  if (whole && !*whole) return progress::waits;
  auto ok = whole ? answer(ours) : result<void>(std::move(whole).error());
  if (ok) return progress::welcomed;
  refuse(ok.error());
  return progress::refused;
}

// Whether the hello is whole. Never reads a byte beyond it.
result<bool> greeting::read() {
  while (got_ < want_) {
    const long got = recv_with_fds(socket(), std::span(bytes_).subspan(got_, want_ - got_),
                                   descriptors_, offer_descriptors);
    if (got == -EAGAIN) return false;
    if (got == -ENOBUFS)
      return fail(kind::invalid, "bad_hello", "a greeting came with more descriptors than it may");
    if (got <= 0)
      return fail(kind::disconnected, "peer_gone", "the peer went away during its greeting");
    got_ += static_cast<std::size_t>(got);
    if (got_ == greeting_prefix_bytes && want_ == greeting_prefix_bytes) {
      const auto size = greeting_size({bytes_.data(), greeting_prefix_bytes});
      if (!size) return size.error();
      want_ += *size;
    }
  }
  return true;
}

result<void> greeting::answer(const terms& ours) {
  const auto theirs =
      decode_hello({bytes_.data() + greeting_prefix_bytes, want_ - greeting_prefix_bytes});
  if (!theirs) return theirs.error();
  if (auto same = check_protocol(theirs->protocol, theirs->version); !same) return same;
  welcome granted;
  granted.program = ours.program;
  granted.credits = ours.credits;
  granted.lane_reason = choose_lane(*theirs, ours);
  granted.ring = lane_ != nullptr;
  const auto bytes = encode(granted);
  const int fd = lane_ ? lane_->socket() : socket();
  if (::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
      != static_cast<ssize_t>(bytes.size()))
    return fail(kind::disconnected, "peer_gone", "the peer does not take its welcome");
  if (!lane_) {
    auto socket_lane = make_socket_lane(std::move(socket_.socket),
                                        socket_.over_tcp ? socket_kind::tcp : socket_kind::local);
    if (!socket_lane) return socket_lane.error();
    lane_ = *std::move(socket_lane);
  }
  peer_.program = theirs->program;
  peer_.berth_version = theirs->version;
  peer_.pid = socket_.pid;
  peer_.uid = socket_.uid;
  peer_.lane = lane_->name();
  peer_.lane_reason = granted.lane_reason;
  return {};
}

// Makes the ring lane when it can be had; else returns why not.
std::string greeting::choose_lane(const hello& theirs, const terms& ours) {
  if (socket_.over_tcp) return "the caller came over TCP";
  if (theirs.ring_bytes == 0) return theirs.no_ring_reason;
  if (!ours.offers_ring) return "the server was told not to use shared memory";
  if (descriptors_.size() != offer_descriptors) return "a ring was offered without its descriptors";
  auto ring = adopt_ring_lane(std::move(descriptors_[0]), std::move(descriptors_[1]),
                              std::move(descriptors_[2]), theirs.ring_bytes, socket_.socket);
  if (!ring) return ring.error().message;
  lane_ = *std::move(ring);
  return {};
}

void greeting::refuse(const error_info& why) {
  welcome no;
  no.refused = why;
  const auto bytes = encode(no);
  const int fd = lane_ ? lane_->socket() : socket();
  if (fd < 0) return;
  static_cast<void>(!::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
}

}  // namespace berth::net
