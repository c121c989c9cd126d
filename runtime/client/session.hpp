#pragma once
// Session: a program's connection to a cluster: its directory, its links to workers, its driver thread.

#include "runtime/base/fork.hpp"
#include "runtime/client/directory.hpp"
#include "runtime/net/call_messages.hpp"
#include "runtime/net/link.hpp"

#include <atomic>
#include <berth/error.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace berth::client {

/// Writes a callee's line to this program's own stdout or stderr.
void print_line(std::string_view text, bool stderr_line) noexcept;

/// One link to one worker, shared by all handles of a session. Threads: any.
class peer final : private net::link_events {
 public:
  /// Connects. Errors: those of `net::connect`.
  static result<std::shared_ptr<peer>> connect(const net::address& where,
                                               const std::string& target,
                                               const std::string& program,
                                               std::shared_ptr<net::driver> drives);

  [[nodiscard]] net::link& link() noexcept { return *link_; }

  [[nodiscard]] const std::string& target() const noexcept { return target_; }

  [[nodiscard]] bool closed() const noexcept { return link_->closed(); }

  /// Binds, or gives what was agreed before. Errors: those of the worker; `disconnected`.
  result<net::bind_reply> bind(const net::bind_request& what);

 private:
  explicit peer(std::string target) : target_(std::move(target)) {}

  void on_stray(net::link& which, net::message& what) noexcept override;

  const std::string target_;
  std::shared_ptr<net::driver> driver_;  // before the link: links end before their driver
  std::unique_ptr<net::link> link_;
  std::mutex mutex_;
  std::map<std::string, net::bind_reply> agreed_;  // by encoded request
};

/// A resource, shared by the handles made from it; ends with the last. Threads: any.
class session : public std::enable_shared_from_this<session> {
 public:
  /// `drives` reads the links nobody waits on; `identity` is the routing key of calls that have none of their own.
  session(std::shared_ptr<net::driver> drives,
          std::shared_ptr<directory> knows,
          std::string program,
          std::string identity);
  ~session();
  session(const session&) = delete;
  session& operator=(const session&) = delete;

  [[nodiscard]] directory& knows() noexcept { return *directory_; }

  [[nodiscard]] const std::string& identity() const noexcept { return identity_; }

  [[nodiscard]] std::uint32_t generation() const noexcept { return generation_; }

  /// The open link to a worker, connecting if there is none. Errors: those of `peer::connect`.
  result<std::shared_ptr<peer>> peer_for(const std::string& target);

  /// Keeps what must live as long as the session (an embedded cluster).
  void keep(std::shared_ptr<void> what) { kept_ = std::move(what); }

 private:
  std::shared_ptr<void> kept_;
  std::shared_ptr<net::driver> driver_;
  std::shared_ptr<directory> directory_;
  const std::string program_;
  const std::string identity_;
  const std::uint32_t generation_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<peer>> peers_;
};

}  // namespace berth::client
