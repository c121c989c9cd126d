#pragma once
// Worker host: what a node can do with processes, seen from its actor. One implementation starts real workers
// (process_host.hpp); tests have their own.

#include "actors/name_state.hpp"

#include <berth/error.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace berth::actors {

/// What to start.
struct replica_order {
  std::uint64_t replica = 0;
  std::string name;
  std::uint32_t version = 0;
  std::string digest;
  std::string manifest;
  std::uint32_t concurrency = 1;
  std::uint32_t credits = 1024;
  std::uint32_t health_ms_max = 5000;
  std::vector<gate> gates;  ///< as they stand before its first call
  friend bool operator==(const replica_order&, const replica_order&) = default;
};

/// What became of it.
struct replica_event {
  enum class what : std::uint8_t { started = 1, ready = 2, unfit = 3, ended = 4 };
  std::uint64_t replica = 0;
  what happened = what::started;
  std::int64_t pid = 0;
  std::uint64_t load_us = 0;
  std::uint64_t health_us = 0;
  error_info why;  ///< with unfit and ended: for people, with the last log lines
  friend bool operator==(const replica_event&, const replica_event&) = default;
};

/// One worker, for `ps`.
struct worker_row {
  std::uint64_t replica = 0;
  std::int64_t pid = 0;
  std::string name;
  std::uint32_t version = 0;
  std::string state;
  std::uint64_t up_ms = 0;
  std::uint64_t calls = 0;
  std::uint32_t links = 0;
  std::uint64_t memory_kib = 0;
  std::string last_death;
  friend bool operator==(const worker_row&, const worker_row&) = default;
};

/// What became of a call whose worker may be gone.
struct call_fate {
  std::string fate = "unknown";  ///< not_started, started, finished, unknown
  bool ended = false;
  std::string death;
  friend bool operator==(const call_fate&, const call_fate&) = default;
};

/// Threads: any, for every function; none blocks longer than a few milliseconds except where it says so.
class worker_host {
 public:
  virtual ~worker_host() = default;

  /// Where events go; called from threads of the host. Given once, before the first `start`.
  virtual void listen(std::function<void(replica_event)> sink) = 0;
  /// Starts a worker. Events tell the rest: started, then ready or unfit; ended last, always.
  /// Errors (then no event follows): `missing` (content not held), `invalid` (manifest), the supervisor's.
  virtual result<void> start(const replica_order& what) = 0;
  /// Lets it finish what runs; `patience` is told to it.
  virtual void drain(std::uint64_t replica, std::chrono::milliseconds patience) = 0;
  virtual void kill(std::uint64_t replica) = 0;
  /// In every living worker of the name: from the return on no call below the gates' revisions starts.
  /// A worker that cannot be brought to decide is killed (that costs up to half a second). Errors: none survive that.
  virtual void close(const std::string& name, const std::vector<gate>& gates) = 0;

  virtual std::vector<worker_row> workers(const std::string& prefix) = 0;
  virtual std::vector<verbs::counter_row> counters(const std::string& prefix) = 0;
  virtual call_fate fate(std::uint64_t replica, std::uint64_t link, std::uint64_t call) = 0;
  /// The last `lines` log lines of the name's workers, oldest first.
  virtual std::vector<verbs::log_row> log_lines(const std::string& prefix, std::uint32_t lines) = 0;
  /// New log lines of the name's workers from now on, until `unfollow`. `sink` runs on a thread of the host.
  virtual void follow_logs(std::uint64_t id,
                           std::string prefix,
                           std::function<void(std::vector<verbs::log_row>)> sink) = 0;
  virtual void unfollow_logs(std::uint64_t id) = 0;
  /// Ends every worker and all threads.
  virtual void stop() = 0;
};

}  // namespace berth::actors
