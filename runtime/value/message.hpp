#pragma once
// Values as Cap'n Proto messages (runtime/wire/value.capnp), for those who do not want to see Cap'n Proto.

#include <berth/bytes.hpp>
#include <berth/error.hpp>
#include <berth/value.hpp>
#include <cstddef>
#include <span>

namespace berth {

/// `v` as one flat Cap'n Proto message. Errors: `invalid` (`too_large`) beyond the limits of a value.
[[nodiscard]] BERTH_API result<bytes> value_to_message(const value& v);

/// Reads what `value_to_message` made; `message` need not be aligned. A stranger's message costs at most a bounded
/// multiple of its size. Errors: `invalid` (`bad_message`).
[[nodiscard]] BERTH_API result<value> value_from_message(std::span<const std::byte> message);

}  // namespace berth
