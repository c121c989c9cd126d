#pragma once
// Values inside other Cap'n Proto messages. Include in a .cpp only: it brings in Cap'n Proto.

#include "runtime/wire/value.capnp.h"

#include <berth/error.hpp>
#include <berth/value.hpp>

namespace berth {

/// Fills `to` with `v`. Errors: `invalid` (`too_large`) beyond the limits of a value.
[[nodiscard]] BERTH_API result<void> write_value(wire::Value::Builder to, const value& v);

/// Reads a value out of a message being read. Errors: `invalid` (`bad_message`): nested too deep, too many values,
/// doubled names, a broken tensor, an unknown kind. Malformed pointers are Cap'n Proto's to refuse: it throws
/// `kj::Exception`, which the caller turns into an error where it reads the rest of its message.
[[nodiscard]] BERTH_API result<value> read_value(wire::Value::Reader from);

}  // namespace berth
