#pragma once
// Endpoints: where a node listens, how a program connects, and how an accepted socket reaches the process it is for.
//
// Every connection to a node begins with a preamble of fixed size that names its target: the node's control actor or
// one of its workers. The node reads it by exact length and hands the socket over (SCM_RIGHTS); nothing is relayed.
// Then both ends speak hello (runtime/wire/link.capnp) and agree on a lane.

#include "runtime/base/unique_fd.hpp"
#include "runtime/net/link.hpp"

#include <array>
#include <berth/error.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace berth::net {

/// A 32-byte secret that a loopback TCP peer must show; Unix sockets are guarded by their folder's mode instead.
using token = std::array<std::byte, 32>;

/// Reads a token file (0600, 64 hex digits). Errors: `missing`, `denied` (readable by others), `invalid`.
[[nodiscard]] result<token> read_token(const std::string& path);
/// Makes a random token and writes it to a new file of mode 0600. Errors: `conflict` when the file exists.
[[nodiscard]] result<token> make_token(const std::string& path);

struct unix_address {
  std::string path;  ///< under 108 bytes
};

struct tcp_address {
  std::string host = "127.0.0.1";  ///< loopback only
  std::uint16_t port = 0;
  token secret{};
};

using address = std::variant<unix_address, tcp_address>;

/// "unix:/run/…" or "127.0.0.1:4711".
[[nodiscard]] std::string to_string(const address& where);

/// Who a connection is for: "control" or "worker:<id>"; at most 47 bytes.
struct target {
  std::string text = "control";

  [[nodiscard]] static target control() { return {}; }

  [[nodiscard]] static target worker(std::string_view id) { return {"worker:" + std::string(id)}; }

  /// The worker's id, or nothing for another target.
  [[nodiscard]] std::optional<std::string_view> worker_id() const noexcept;
  friend bool operator==(const target&, const target&) = default;
};

/// A socket whose preamble was read.
struct accepted {
  base::unique_fd socket;
  net::target target;
  bool over_tcp = false;
  std::int64_t pid = 0;  ///< from the kernel on a Unix socket
  std::int64_t uid = -1;
};

struct connect_options {
  std::string program;  ///< name told to the peer
  bool offers_ring = true;
  std::uint32_t ring_bytes = 64 * 1024;  ///< each way; a power of two, 16 KiB to 1 MiB
  std::chrono::milliseconds greeting_max{5000};
  std::uint64_t segment_bytes_max = std::uint64_t{64} << 30;
  net::link::options calling;
};

/// Opens a link. Blocks at most `greeting_max`.
/// Errors: `disconnected` (nobody listens there), `timed_out`, `denied` (token, uid), `invalid` (other protocol
/// version: both named), `missing` (no such target), `overloaded`.
[[nodiscard]] result<std::unique_ptr<link>> connect(const address& where,
                                                    const target& to,
                                                    const connect_options& how);

/// As `connect`, over a stream socket that is connected already and needs no preamble.
[[nodiscard]] result<std::unique_ptr<link>> connect_over(base::unique_fd socket,
                                                         const connect_options& how);

/// A listening port with a thread of its own. A resource; its socket file goes with it.
class listener {
 public:
  struct options {
    std::optional<unix_address> on_unix;
    std::optional<tcp_address> on_tcp;  ///< port 0: any free one
    std::uint32_t half_open_max = 128;  ///< connections whose preamble is not complete
    std::chrono::milliseconds preamble_max{5000};
  };

  /// Called on the listener's thread for every connection with a complete, valid preamble; must not block for long.
  /// An error is told to the peer and ends the connection (`missing`: no such worker).
  using on_accepted = std::function<result<void>(accepted)>;

  /// Errors: `conflict` (another process listens there), `invalid` (path too long, address not loopback), `denied`.
  [[nodiscard]] static result<std::unique_ptr<listener>> start(options where, on_accepted then);
  ~listener();
  listener(const listener&) = delete;
  listener& operator=(const listener&) = delete;

  /// Where it listens, with the port that was chosen.
  [[nodiscard]] std::vector<address> addresses() const;

 private:
  struct state;
  explicit listener(std::unique_ptr<state> self);
  std::unique_ptr<state> self_;
};

/// Sends one descriptor with a short text over a Unix socket, blocking at most `limit`; `recv_fd` is its other half.
/// Errors: `disconnected`, `timed_out`, `invalid` (no descriptor came, too many came, text too long).
[[nodiscard]] result<void> send_fd(int over,
                                   int fd,
                                   std::string_view text,
                                   std::chrono::milliseconds limit);

struct received_fd {
  base::unique_fd fd;
  std::string text;
};

[[nodiscard]] result<received_fd> recv_fd(int over, std::chrono::milliseconds limit);

/// A connection handed from the node to a worker: `accepted` as one descriptor and its facts as text.
[[nodiscard]] result<void> hand_over(int over,
                                     const accepted& socket,
                                     std::chrono::milliseconds limit);
[[nodiscard]] result<accepted> take_over(int over, std::chrono::milliseconds limit);
/// The same facts as text, for callers that carry the descriptor in a message of their own.
[[nodiscard]] std::string facts_of(const accepted& socket);
[[nodiscard]] result<accepted> accepted_from(base::unique_fd socket, std::string_view facts);

}  // namespace berth::net
