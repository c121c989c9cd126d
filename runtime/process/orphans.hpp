#pragma once

// Orphans: processes that left their worker's group on purpose (setsid), so that the group's end does not reach them.
//
// While their parent lives they are in its list of children; afterwards they become the supervisor's, which is the
// node's reaper.

namespace berth::process {

/// Sends SIGKILL to every child of this process, whichever thread made it.
void kill_children() noexcept;

/// Kills and reaps every child this process has, again and again until none is left or a second has passed.
/// For a process that keeps no other children at that moment.
void kill_orphans() noexcept;

}  // namespace berth::process
