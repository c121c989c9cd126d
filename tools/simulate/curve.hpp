#pragma once
// The fingerprint of a replay: what anybody who recounts it must find.

#include "scheduler/replay.hpp"

#include <string>

namespace berth::tools {

/// The first 16 hex digits of SHA-256 over "arrived allocated" (milli) per event, joined by newlines, none at the end.
[[nodiscard]] std::string curve_sha256_16(const sched::replay_report& of);

}  // namespace berth::tools
