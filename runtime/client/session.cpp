#include "runtime/client/session.hpp"

#include "runtime/base/clock.hpp"

#include <cstdio>
#include <cstring>
#include <utility>

namespace berth::client {
namespace {

constexpr auto bind_max = std::chrono::seconds(5);

error_info error_of(net::pending& slot) {
  if (slot.how() != net::completion::answered) return slot.error();
  return net::decode_failure(slot.answer().body.bytes());
}

}  // namespace

void print_line(std::string_view text, bool stderr_line) noexcept {
  std::FILE* to = stderr_line ? stderr : stdout;
  std::fprintf(to, "%.*s\n", static_cast<int>(text.size()), text.data());
}

// ---- one worker

result<std::shared_ptr<peer>> peer::connect(const net::address& where,
                                            const std::string& target,
                                            const std::string& program,
                                            std::shared_ptr<net::driver> drives) {
  std::shared_ptr<peer> made(new peer(target));
  net::connect_options how;
  how.program = program;
  how.calling.drives = drives.get();
  how.calling.events = made.get();
  auto link = net::connect(where, net::target{target}, how);
  if (!link) return std::move(link).error().at("while connecting to " + target);
  made->driver_ = std::move(drives);
  made->link_ = *std::move(link);
  return made;
}

result<net::bind_reply> peer::bind(const net::bind_request& what) {
  const auto body = net::encode(what);
  const std::string key(reinterpret_cast<const char*>(body.data()), body.size());
  const std::lock_guard lock(mutex_);
  if (const auto known = agreed_.find(key); known != agreed_.end()) return known->second;
  net::pending slot;
  net::frame_header header;
  header.kind = net::frame_kind::request;
  const auto end = base::after(bind_max);
  auto room = link_->begin(slot, header, body.size(), {}, end);
  if (!room) return slot.error();
  std::memcpy(room.body(), body.data(), body.size());
  room.commit();
  if (link_->wait(slot, end) != net::completion::answered
      || slot.answer().header.kind != net::frame_kind::reply)
    return error_of(slot);
  auto reply = net::decode_bind_reply(slot.answer().body.bytes());
  if (reply) agreed_.emplace(key, *reply);
  return reply;
}

void peer::on_stray(net::link& /*which*/, net::message& what) noexcept {
  if (what.header.kind != net::frame_kind::log) return;
  const auto bytes = what.body.bytes();
  print_line({reinterpret_cast<const char*>(bytes.data()), bytes.size()},
             (what.header.flags & net::flag_error_stream) != 0);
}

// ---- all of them

session::session(std::shared_ptr<net::driver> drives,
                 std::shared_ptr<directory> knows,
                 std::string program,
                 std::string identity)
    : driver_(std::move(drives)),
      directory_(std::move(knows)),
      program_(std::move(program)),
      identity_(std::move(identity)),
      generation_(base::fork_generation()) {}

session::~session() {
  if (generation_ == base::fork_generation()) return;
  // A child of fork() has the memory of its parent's session but none of its threads: nothing here can be ended.
  for (auto& [target, one] : peers_)
    new std::shared_ptr<peer>(std::move(one));
  new std::shared_ptr<net::driver>(std::move(driver_));
  new std::shared_ptr<directory>(std::move(directory_));
  new std::shared_ptr<void>(std::move(kept_));
}

result<std::shared_ptr<peer>> session::peer_for(const std::string& target) {
  const std::lock_guard lock(mutex_);
  auto& known = peers_[target];
  if (known && !known->closed()) return known;
  auto made = peer::connect(directory_->address(), target, program_, driver_);
  if (!made) {
    peers_.erase(target);
    return std::move(made).error();
  }
  known = *made;
  return *std::move(made);
}

}  // namespace berth::client
