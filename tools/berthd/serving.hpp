#pragma once
// Serving: wires store, actors, workers and port together, says ready, and takes it all apart again.

#include "tools/berthd/options.hpp"

namespace berth::berthd {

/// Serves until the supervisor asks for the end or is gone. Errors: what kept it from becoming ready.
[[nodiscard]] result<void> serve(const options& how);

}  // namespace berth::berthd
