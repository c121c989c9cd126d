#pragma once
// Supervisor messages: what head and supervisor say to each other (runtime/wire/supervisor.capnp) as C++ values.

#include "runtime/process/death.hpp"

#include <berth/error.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace berth::process {

// ---- head to supervisor

/// How to start a worker. The supervisor adds the lifeline (descriptor 3) and its variable.
struct worker_command {
  std::vector<std::string> argv;
  std::vector<std::string> env;  ///< "NAME=value", the whole environment
  std::string cwd;               ///< empty: the supervisor's
  std::vector<std::string>
      descriptors;  ///< for each passed descriptor the variable that tells its number

  friend bool operator==(const worker_command&, const worker_command&) = default;
};

struct start_worker {
  std::uint64_t worker = 0;  ///< chosen by the head, unique within its life
  worker_command what;

  friend bool operator==(const start_worker&, const start_worker&) = default;
};

struct stop_worker {
  std::uint64_t worker = 0;
  std::chrono::milliseconds grace{0};  ///< 0: kill now

  friend bool operator==(const stop_worker&, const stop_worker&) = default;
};

struct head_ready {
  std::map<std::string, std::string> facts;

  friend bool operator==(const head_ready&, const head_ready&) = default;
};

struct shut_down {
  std::chrono::milliseconds drain{0};

  friend bool operator==(const shut_down&, const shut_down&) = default;
};

using to_supervisor = std::variant<start_worker, stop_worker, head_ready, shut_down>;

// ---- supervisor to head

struct worker_started {
  std::uint64_t worker = 0;
  pid_t pid = 0;

  friend bool operator==(const worker_started&, const worker_started&) = default;
};

struct worker_refused {
  std::uint64_t worker = 0;
  error_info why;

  friend bool operator==(const worker_refused&, const worker_refused&) = default;
};

struct worker_ended {
  std::uint64_t worker = 0;
  death how;
  bool asked = false;  ///< the head had asked for its end

  friend bool operator==(const worker_ended&, const worker_ended&) = default;
};

/// The first message to a head.
struct welcome {
  std::uint32_t incarnation = 0;  ///< 1 for the first head, one more for each restart
  pid_t supervisor = 0;
  std::vector<worker_ended> earlier;  ///< deaths no head has heard of; at most the last 64

  friend bool operator==(const welcome&, const welcome&) = default;
};

struct stop_asked {
  std::chrono::milliseconds drain{0};

  friend bool operator==(const stop_asked&, const stop_asked&) = default;
};

using from_supervisor =
    std::variant<welcome, worker_started, worker_refused, worker_ended, stop_asked>;

/// Both encode into one packet. Decoding bounds counts and sizes before it allocates.
/// Errors: `invalid` for what is no such message.
[[nodiscard]] std::vector<std::byte> encode(const to_supervisor& message);
[[nodiscard]] std::vector<std::byte> encode(const from_supervisor& message);
result<to_supervisor> decode_to_supervisor(std::span<const std::byte> bytes);
result<from_supervisor> decode_from_supervisor(std::span<const std::byte> bytes);

}  // namespace berth::process
