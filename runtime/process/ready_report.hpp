#pragma once
// Ready report: the one message a supervisor sends to whoever started it, down a pipe: that its cluster serves, or why
// it cannot. End of file without a report: it died.

#include <berth/error.hpp>
#include <string>

namespace berth::process {

/// "ready\n", or "error KIND CODE\nMESSAGE".
[[nodiscard]] std::string ready_report(const result<void>& outcome);

/// What a report says. Errors: those reported; `failed` for what is no report.
result<void> read_ready_report(const std::string& text);

}  // namespace berth::process
