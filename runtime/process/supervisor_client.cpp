#include "runtime/process/supervisor_client.hpp"

#include "runtime/process/lifeline.hpp"
#include "runtime/process/packet_socket.hpp"

#include <cerrno>
#include <csignal>
#include <poll.h>
#include <sys/eventfd.h>
#include <utility>

namespace berth::process {
namespace {

constexpr std::chrono::seconds welcome_max{5};

void tell(const supervisor_events& events, const from_supervisor& message) {
  const auto call = [](const auto& handler, const auto& event) {
    if (handler) handler(event);
  };
  if (const auto* started = std::get_if<worker_started>(&message)) call(events.started, *started);
  if (const auto* refused = std::get_if<worker_refused>(&message)) call(events.refused, *refused);
  if (const auto* ended = std::get_if<worker_ended>(&message)) call(events.ended, *ended);
  if (const auto* stop = std::get_if<stop_asked>(&message)) call(events.stop, *stop);
}

result<welcome> greeted(int socket) {
  auto first = receive_packet(socket, welcome_max);
  if (!first) return std::move(first).error();
  if (!*first) return fail(kind::timed_out, "no_supervisor", "the supervisor does not speak");
  auto message = decode_from_supervisor((*first)->bytes);
  if (!message) return std::move(message).error();
  const auto* greeting = std::get_if<welcome>(&*message);
  if (greeting == nullptr)
    return fail(kind::invalid, "no_welcome", "the supervisor's first message is no welcome");
  return *greeting;
}

}  // namespace

result<std::unique_ptr<supervisor_client>> supervisor_client::attach(base::unique_fd socket,
                                                                     supervisor_events events) {
  auto greeting = greeted(socket.get());
  if (!greeting) return std::move(greeting).error().at("while attaching to the supervisor");
  return std::unique_ptr<supervisor_client>(
      new supervisor_client(std::move(socket), std::move(events), std::move(*greeting)));
}

result<std::unique_ptr<supervisor_client>> supervisor_client::attach_inherited(
    supervisor_events events) {
  auto socket = inherited_descriptor(supervisor_variable);
  if (!socket) return std::move(socket).error();
  auto lock = inherited_descriptor(lock_variable);
  if (!lock) return std::move(lock).error();
  auto self = attach(std::move(*socket), std::move(events));
  if (self) (*self)->lock_ = std::move(*lock);
  return self;
}

supervisor_client::supervisor_client(base::unique_fd socket,
                                     supervisor_events events,
                                     welcome greeting)
    : socket_(std::move(socket)),
      wake_(::eventfd(0, EFD_CLOEXEC)),
      events_(std::move(events)),
      greeting_(std::move(greeting)),
      thread_([this] { listen(); }) {}

supervisor_client::~supervisor_client() {
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
}

void supervisor_client::listen() {
  for (;;) {
    pollfd both[2]{{socket_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    if (::poll(both, 2, -1) < 0 && errno != EINTR) return;
    if (both[1].revents != 0) return;
    if (both[0].revents == 0) continue;
    auto one = receive_packet(socket_.get(), std::chrono::milliseconds(0));
    if (one && !*one) continue;
    auto message = one ? decode_from_supervisor((*one)->bytes)
                       : result<from_supervisor>(std::move(one).error());
    if (!message) {
      if (events_.gone) events_.gone(message.error());
      return;
    }
    tell(events_, *message);
  }
}

result<void> supervisor_client::start(std::uint64_t worker,
                                      worker_command what,
                                      std::span<const int> descriptors) {
  if (what.descriptors.size() != descriptors.size())
    return fail(kind::invalid, "descriptors_unnamed",
                "each descriptor passed to a worker needs the variable that tells its number");
  const auto bytes = encode(to_supervisor(start_worker{worker, std::move(what)}));
  const std::lock_guard hold(sending_);
  auto sent = send_packet(socket_.get(), bytes, descriptors);
  if (!sent) return std::move(sent).error().at("while asking the supervisor for a worker");
  return {};
}

result<void> supervisor_client::send(const to_supervisor& message) {
  const auto bytes = encode(message);
  const std::lock_guard hold(sending_);
  return send_packet(socket_.get(), bytes);
}

result<void> supervisor_client::stop(std::uint64_t worker, std::chrono::milliseconds grace) {
  return send(stop_worker{worker, grace});
}

result<void> supervisor_client::kill(std::uint64_t worker) {
  return send(stop_worker{worker, std::chrono::milliseconds(0)});
}

result<void> supervisor_client::ready(std::map<std::string, std::string> facts) {
  return send(head_ready{std::move(facts)});
}

result<void> supervisor_client::shut_down(std::chrono::milliseconds drain) {
  return send(process::shut_down{drain});
}

}  // namespace berth::process
