#pragma once
// Lanes: what carries a link's frames. Shared-memory rings or a stream socket, behind one narrow interface.
//
// A lane knows frames but not their meaning. Its sending half is used under the channel's send lock, its receiving half
// by whoever reads the link at the moment; the two halves share nothing.

#include "runtime/base/cpu.hpp"
#include "runtime/base/unique_fd.hpp"
#include "runtime/net/frame.hpp"

#include <berth/error.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace berth::net {

/// What a look at the lane found.
enum class look : std::uint8_t {
  nothing,
  frame,
  bulk,    ///< socket lanes: a chunk whose body is fetched by `read_bulk`
  broken,  ///< the peer broke a rule of the lane, or is gone: `why()`
};

class lane {
 public:
  lane() = default;
  lane(const lane&) = delete;
  lane& operator=(const lane&) = delete;
  virtual ~lane() = default;

  // --- sending
  /// Room for one whole frame of `bytes` (header and padded body, at most `frame_max()`), 32-aligned; null when full.
  virtual std::byte* room(std::size_t bytes) noexcept = 0;
  /// The frame just written into `room` counts.
  virtual void commit(std::size_t bytes) noexcept = 0;
  /// The peer sees what was committed and is woken when it sleeps. Socket lanes write what the kernel takes.
  virtual void publish() noexcept = 0;
  /// Whether bytes were committed that the peer cannot see yet.
  [[nodiscard]] virtual bool unpublished() const noexcept = 0;
  /// Whether bulk data may go in without making small frames wait for long.
  [[nodiscard]] virtual bool has_room_for_bulk() noexcept = 0;
  /// Whether the last `publish` had to wake the peer.
  [[nodiscard]] virtual bool rang() const noexcept = 0;
  /// Sends one chunk frame straight from `body`. False: not now.
  virtual bool send_bulk(const frame_header& header, std::span<const std::byte> body) noexcept = 0;
  /// Sends a `segment` frame with its descriptor, ahead of what is committed later. False: not now.
  virtual bool send_descriptor(const frame_header& header, int fd) noexcept = 0;

  // --- receiving
  /// Whether `peek` would find something. Cheap; socket lanes may ask the kernel.
  virtual bool ready() noexcept = 0;

  /// The next frame's header (a copy) and where its body lies (memory the peer may still write: copy it once).
  virtual look peek(frame_header& header, const std::byte*& body) noexcept = 0;
  /// Done with the frame that `peek` found.
  virtual void pop() noexcept = 0;

  /// After `bulk`: moves up to `size` bytes of the chunk's body to `to` (null: nowhere); returns how many, 0 for "later".
  virtual std::size_t read_bulk(std::byte* /*to*/, std::size_t /*size*/) noexcept { return 0; }

  /// A descriptor that came with the `segment` frame just peeked; empty when none came.
  virtual base::unique_fd take_descriptor() noexcept = 0;
  /// Ring lane: the next announcement that waits on the socket beside the ring. `nothing` on other lanes.
  virtual look peek_aside(frame_header& header) noexcept = 0;

  // --- sleeping
  /// The peer shall wake us: for new frames, and for room when `for_room`. Look once more after this.
  virtual void arm(bool for_room) noexcept = 0;
  virtual void disarm() noexcept = 0;
  /// Descriptor that becomes readable when the peer woke us; the socket itself on socket lanes.
  [[nodiscard]] virtual int bell() const noexcept = 0;
  [[nodiscard]] virtual int socket() const noexcept = 0;
  /// Room is told by the socket becoming writable (else by the bell): with a backlog a sleeper waits for that too.
  [[nodiscard]] virtual bool tells_room_by_socket() const noexcept = 0;
  /// After waking: takes the ring off the bell.
  virtual void quiet_bell() noexcept = 0;
  /// Wakes our own sleeper.
  virtual void ring_own_bell() noexcept = 0;
  /// Whether the peer has closed the connection; what it sent before may still be read.
  virtual bool hung_up() noexcept = 0;

  /// Where the peer's reader last ran, and telling it where ours runs.
  [[nodiscard]] virtual std::uint32_t peer_cpu() const noexcept { return base::no_cpu; }

  virtual void tell_cpu() noexcept {}

  [[nodiscard]] virtual std::size_t frame_max() const noexcept = 0;  ///< header and body
  [[nodiscard]] virtual bool passes_descriptors() const noexcept = 0;
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  /// Valid after `broken`.
  [[nodiscard]] virtual error_info why() const = 0;
  /// Shuts the connection down; the peer's socket says end of file.
  virtual void hang_up() noexcept = 0;

  [[nodiscard]] virtual std::uint64_t bells_rung() const noexcept { return 0; }
};

}  // namespace berth::net
