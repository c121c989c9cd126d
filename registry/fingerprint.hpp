#pragma once
// Fingerprint: tells a retry of a request from another use of its id.

#include "registry/names.hpp"

#include <cstdint>

namespace berth::registry {

/// Of the words a retry repeats: what is asked for, not who asks, why, or which revision is expected. 63 bits, so that it
/// fits a signed column. Equal fingerprints of different requests are possible, but not by accident.
[[nodiscard]] std::uint64_t fingerprint(const request& what);

}  // namespace berth::registry
