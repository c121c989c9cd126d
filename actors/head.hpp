#pragma once
// Head: the actors of a cluster's head process as one resource, for programs that know nothing of CAF.
//
// With a mesh, nodes of other processes may join over loopback; without one (the default) no port is opened and CAF's
// network part is not even loaded.

#include "actors/control_port.hpp"
#include "actors/control_state.hpp"
#include "actors/replica_counts.hpp"
#include "actors/worker_host.hpp"
#include "registry/names_state.hpp"
#include "registry/store.hpp"

#include <berth/error.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace berth::actors {

/// May a caller bound like this call a version with these signatures? The check every flip asks (registry).
[[nodiscard]] result<void> still_answers(std::string_view caller_signature,
                                         std::string_view method,
                                         std::string_view version_signatures);

class head {
 public:
  struct options {
    registry::store* store = nullptr;  ///< all of these outlive the head
    worker_host* host = nullptr;       ///< this machine's node; null: nodes join over the mesh
    control_port* port = nullptr;
    head_services* services = nullptr;
    replica_counts* counts = nullptr;  ///< null: replica counts are forgotten with this process
    bool mesh = false;                 ///< load CAF's network part; `open_mesh` then opens a port
  };

  /// Reads the change log and spawns everything; what tags point to starts. Errors: the store's (bad_log).
  [[nodiscard]] static result<std::unique_ptr<head>> start(options how);
  ~head();  // stop()
  head(const head&) = delete;
  head& operator=(const head&) = delete;

  /// Opens the mesh on 127.0.0.1; returns the port. Errors: `conflict`.
  [[nodiscard]] result<std::uint16_t> open_mesh();

  // What connections ask. Threads: any. Answers go to the port.
  void ask(std::uint64_t connection,
           std::uint64_t call,
           const caller_facts& who,
           std::span<const std::byte> request);
  void cancel(std::uint64_t connection, std::uint64_t call);
  void welcome(std::uint64_t connection, std::uint64_t call, std::uint32_t items);
  void gone(std::uint64_t connection);

  /// Stops every actor and waits for them. Workers go on; their host ends them. Idempotent.
  void stop();

 private:
  struct state;
  explicit head(std::unique_ptr<state> self);
  std::unique_ptr<state> self_;
};

/// A node in a process of its own, joined to a head over loopback.
class remote_node {
 public:
  /// Connects within `patience` and joins. Errors: `disconnected`, `timed_out`, `invalid` (not a head of this release).
  [[nodiscard]] static result<std::unique_ptr<remote_node>> join(
      std::uint16_t head_port, worker_host& host, std::chrono::milliseconds patience);
  ~remote_node();

 private:
  struct state;
  explicit remote_node(std::unique_ptr<state> self);
  std::unique_ptr<state> self_;
};

}  // namespace berth::actors
