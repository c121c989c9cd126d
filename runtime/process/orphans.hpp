#pragma once

// Orphans: processes whose parent died and that became ours, because the supervisor is the node's reaper. They left
// their worker's group on purpose (setsid), so the group's end did not reach them.

namespace berth::process {

/// Kills and reaps every child this process has, again and again until none is left or a second has passed.
/// For a process that keeps no other children at that moment.
void kill_orphans() noexcept;

}  // namespace berth::process
