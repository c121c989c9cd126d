#pragma once
// What a link counts for `berth stats`: plain numbers, read without stopping anybody.

#include <cstdint>

namespace berth::net {

/// A value. Counts since the link was opened.
struct link_statistics {
  std::uint64_t frames_out = 0;
  std::uint64_t frames_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t bells = 0;        ///< times the peer had to be woken
  std::uint64_t spin_hits = 0;    ///< waits that ended while spinning
  std::uint64_t spin_misses = 0;  ///< waits that went to sleep after spinning
  std::uint64_t sleeps = 0;
  std::uint64_t rescues =
      0;  ///< sleeps ended by the seat belt of one second although something was there: a bug
  std::uint64_t overloads = 0;     ///< calls refused for want of a credit or of room
  std::uint64_t transfers = 0;     ///< bodies that went in chunks
  std::uint64_t segments_out = 0;  ///< shared segments announced to the peer
  std::uint64_t segments_in = 0;
  std::uint64_t segment_bytes_in = 0;  ///< bytes of the peer's memory mapped here at present
  std::uint32_t in_flight = 0;
};

}  // namespace berth::net
