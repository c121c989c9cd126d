#pragma once
// The ring lane: two rings in one sealed memory file, an event descriptor each way as bell, and the Unix socket beside
// them for descriptors and end of file.

#include "runtime/base/memory_file.hpp"
#include "runtime/net/lane.hpp"
#include "runtime/net/ring.hpp"

#include <berth/error.hpp>
#include <memory>

namespace berth::net {

/// What the connecting side makes and offers in its hello. A resource.
struct ring_offer {
  base::memory_file memory;
  base::unique_fd bell_of_caller;  ///< wakes the connecting side
  base::unique_fd bell_of_server;
  std::uint32_t ring_bytes = 0;
};

/// Errors: those of `make_memory_file`; `invalid` for a size that is no power of two in the allowed range.
[[nodiscard]] result<ring_offer> make_ring_offer(std::uint32_t ring_bytes);

/// The connecting side's lane over its own offer.
[[nodiscard]] std::unique_ptr<lane> make_ring_lane(ring_offer offer, base::unique_fd socket);

/// The serving side's lane over what it received, checked: memory file, seals, size, and that the bells are event
/// descriptors. Takes the descriptors over in any case; the socket only when it succeeds. Errors: `invalid`.
[[nodiscard]] result<std::unique_ptr<lane>> adopt_ring_lane(base::unique_fd memory,
                                                            base::unique_fd bell_of_caller,
                                                            base::unique_fd bell_of_server,
                                                            std::uint32_t ring_bytes,
                                                            base::unique_fd& socket);

}  // namespace berth::net
