#pragma once
// Frames: what a link carries, the same on every lane (docs/protocol.md, "Frames").
//
// A frame is a 32-byte little-endian header and a body. The header of a call is all that the warm path needs to know;
// the body of a call or result is one flat block, that of a request or reply one Cap'n Proto message.

#include "runtime/base/cpu.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace berth::net {

/// The numbers travel on the wire and never change.
enum class frame_kind : std::uint8_t {
  pad = 0,      ///< ring lane only: the rest of the ring is empty, go on at its start
  call = 1,     ///< caller → callee: run the function of `binding`
  result = 2,   ///< final; body: the result's block
  failure = 3,  ///< final; body: an encoded error
  moved = 4,    ///< final; not started, the tag has moved: bind again
  cancel =
      5,  ///< caller → callee: stop flag; answered by a failure when the call had not started, by a credit of
          ///< nothing while it runs
  item = 6,  ///< either way: one stream item of `call`
  end =
      7,  ///< either way: the stream of `call` is complete (callee → caller: `result` ends the call itself)
  credit = 8,     ///< either way: `binding` more items of `call` are welcome
  log = 9,        ///< callee → caller: one line; flag `error_stream` tells stderr
  progress = 10,  ///< callee → caller: a report of progress or a metric
  chunk = 11,     ///< a piece of a transfer: `binding` = transfer, `revision` = offset
  segment =
      12,  ///< a shared segment: `call` = its id here, `revision` = bytes; one descriptor goes with it
  release = 13,  ///< receiver → owner: segment `call` is free again
  drop = 14,     ///< owner → receiver: forget segment `call`
  request = 15,  ///< caller → callee: control message
  reply = 16,    ///< final; answer to a request
  ping = 17,     ///< answered by `pong` at once
  pong = 18,
  bye = 19,  ///< the sender is about to close on purpose
};
inline constexpr std::uint8_t frame_kind_max = 19;

/// Bits of `frame_header::flags`.
enum frame_flag : std::uint8_t {
  flag_pinned = 1,           ///< call: made by version, not through a tag; `revision` means nothing
  flag_self_describing = 2,  ///< body is a Cap'n Proto value, not a hot block
  flag_transfer = 4,         ///< body comes in chunks: the frame's own body is a `transfer_head`
  flag_error_stream = 8,     ///< log: the line was written to stderr
  flag_items_in = 16,        ///< call: the caller will send items
  flag_not_started = 32,     ///< failure: the function was not started
};

/// A value, written as it lies in memory (little-endian machines only, checked at build).
struct frame_header {
  std::uint64_t call = 0;  ///< chosen by the caller, unique on the link while in flight
  std::uint64_t revision =
      0;  ///< of the tag the call was routed by; results: of the version that answered
  std::uint32_t binding = 0;      ///< agreed by a bind request on this link
  std::uint32_t deadline_us = 0;  ///< from receipt; 0: none; `deadline_passed_us`: it is over
  std::uint32_t size = 0;         ///< bytes of body after this header
  frame_kind kind = frame_kind::pad;
  std::uint8_t flags = 0;
  std::uint16_t externals =
      0;  ///< number of external payloads; their descriptors follow the block in the body
  friend bool operator==(const frame_header&, const frame_header&) = default;
};

static_assert(sizeof(frame_header) == 32);

/// The body of a frame whose real body comes in chunks (`flag_transfer`).
struct transfer_head {
  std::uint32_t transfer = 0;
  std::uint32_t reserved = 0;
  std::uint64_t size = 0;
};

/// A call with this deadline is too late: its callee does not start it.
inline constexpr std::uint32_t deadline_passed_us = 1;

/// Writes a header that was just put together, for a body of `size` bytes without externals. Field by field: a wide load
/// of what narrow stores have left waits until they have reached the cache (some 15 cycles), so the compiler must not
/// join them.
inline void write_header(std::byte* to, const frame_header& what, std::uint32_t size) noexcept {
  const auto put = [to](std::size_t word, std::uint64_t value) {
    std::memcpy(to + word * sizeof value, &value, sizeof value);
  };
  put(0, base::loaded_alone(what.call));
  put(1, base::loaded_alone(what.revision));
  put(2, what.binding | std::uint64_t{base::loaded_alone(what.deadline_us)} << 32);
  put(3, size | std::uint64_t{static_cast<std::uint8_t>(what.kind)} << 32
             | std::uint64_t{base::loaded_alone(what.flags)} << 40);
}

/// Frames lie at multiples of this in a ring: a pad header always fits, and the frame of a small call is one cache line
/// that crosses to the peer, never parts of two.
inline constexpr std::size_t frame_align = 64;

[[nodiscard]] constexpr std::size_t frame_bytes(std::size_t body) noexcept {
  return (sizeof(frame_header) + body + frame_align - 1) & ~(frame_align - 1);
}

/// Limits, demanded of every peer before anything is allocated.
inline constexpr std::uint64_t message_bytes_max = std::uint64_t{1}
                                                   << 32;  ///< one body or external payload
inline constexpr std::uint64_t control_bytes_max = std::uint64_t{64}
                                                   << 20;    ///< one request or reply
inline constexpr std::uint16_t externals_max = 1024;         ///< payloads of one frame
inline constexpr std::uint32_t calls_in_flight_max = 65536;  ///< credits of one link

}  // namespace berth::net
