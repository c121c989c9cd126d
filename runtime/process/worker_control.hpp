#pragma once
// Worker control: what a node and its worker say to each other (runtime/wire/worker.capnp) as C++ values.
//
// The node starts a worker with five descriptors (`worker_descriptors`) and speaks over a packet socket: `load` first,
// the worker answers `ready` or `unfit`; then sockets of clients are handed over; `drain` ends it.

#include <berth/error.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace berth::process {

/// Variables that tell a worker its descriptors.
namespace worker_descriptors {
constexpr const char* control = "BERTH_CONTROL_FD";  ///< packet socket to the node
constexpr const char* page = "BERTH_PAGE_FD";        ///< worker page
constexpr const char* log = "BERTH_LOG_FD";          ///< log ring
}  // namespace worker_descriptors

// ---- node to worker

/// Content the worker needs, passed as a descriptor (sealed memfd or file) of the same message.
struct passed_blob {
  std::string digest;            ///< 64 hex digits
  std::uint32_t descriptor = 0;  ///< index among the message's descriptors

  friend bool operator==(const passed_blob&, const passed_blob&) = default;
};

/// The first message: what to be.
struct load {
  std::string name;           ///< "digits/classify"
  std::uint32_t version = 0;  ///< number under the name
  std::string digest;         ///< of the manifest
  std::string manifest;       ///< canonical text
  std::string worker;         ///< "worker:12"
  std::uint32_t credits = 1024;
  std::chrono::milliseconds health_max{5000};
  std::vector<passed_blob> blobs;

  friend bool operator==(const load&, const load&) = default;
};

/// More content when one message cannot carry all; precedes `load`.
struct more_blobs {
  std::vector<passed_blob> blobs;

  friend bool operator==(const more_blobs&, const more_blobs&) = default;
};

/// A client's accepted socket is descriptor 0 of the message; the preamble was read. `user` and `pid` are from the
/// kernel's credentials of the peer, 0 and 0 when it came by TCP.
struct hand_over {
  std::uint32_t user = 0;
  std::int64_t pid = 0;
  std::string peer;  ///< for people: "unix uid 1000 pid 77", "127.0.0.1:4000"

  friend bool operator==(const hand_over&, const hand_over&) = default;
};

/// Finish what runs, answer `moved` to what waits, then end with exit code 0.
struct drain {
  std::chrono::milliseconds patience{0};

  friend bool operator==(const drain&, const drain&) = default;
};

using to_worker = std::variant<load, more_blobs, hand_over, drain>;

// ---- worker to node

/// Loaded, constructed, health hook passed.
struct worker_ready {
  std::string signatures;  ///< encoded by method (runtime/value)
  double load_ms = 0;
  double health_ms = 0;

  friend bool operator==(const worker_ready&, const worker_ready&) = default;
};

/// Cannot serve this version; the worker ends after it.
struct worker_unfit {
  error_info why;

  friend bool operator==(const worker_unfit&, const worker_unfit&) = default;
};

/// Links opened and closed, for `ps`; sent on change, at most ten times a second.
struct worker_links {
  std::uint32_t open = 0;

  friend bool operator==(const worker_links&, const worker_links&) = default;
};

struct worker_drained {
  friend bool operator==(const worker_drained&, const worker_drained&) = default;
};

using from_worker = std::variant<worker_ready, worker_unfit, worker_links, worker_drained>;

/// Each encodes into one packet (packet_socket.hpp). Decoding bounds counts and sizes before it allocates.
/// Errors: `invalid` for what is no such message.
[[nodiscard]] std::vector<std::byte> encode(const to_worker& message);
[[nodiscard]] std::vector<std::byte> encode(const from_worker& message);
result<to_worker> decode_to_worker(std::span<const std::byte> bytes);
result<from_worker> decode_from_worker(std::span<const std::byte> bytes);

}  // namespace berth::process
