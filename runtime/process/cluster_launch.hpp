#pragma once
// Cluster launch: starting a supervisor, waiting until its cluster serves, and finding one that runs.
//
// `berth up`, `connect()` and the testing fixture all start a cluster here. The running cluster is described by one
// file in the runtime folder, written by the supervisor when the head is ready and removed when it stops.

#include "runtime/base/unique_fd.hpp"
#include "runtime/process/child.hpp"

#include <berth/error.hpp>
#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace berth::process {

/// What the running cluster's file says. A value; unknown keys are kept in `facts`.
struct cluster_state {
  pid_t supervisor = 0;
  pid_t head = 0;
  std::filesystem::path runtime;  ///< sockets
  std::filesystem::path state;    ///< database, blobs
  bool embedded = false;
  std::map<std::string, std::string> facts;  ///< what the head said: "socket", "address", "token" …

  friend bool operator==(const cluster_state&, const cluster_state&) = default;
};

/// The file's name within a runtime folder.
[[nodiscard]] std::filesystem::path cluster_file(const std::filesystem::path& runtime);

/// Writes the file at once as a whole (0600). Errors: `failed` with the system's reason.
result<void> write_cluster_state(const cluster_state& state);

/// Reads the file. Errors: `missing` when no cluster runs there; `disconnected` when one did but its supervisor is gone;
/// `invalid` when the file is damaged; `denied` when it belongs to somebody else.
result<cluster_state> read_cluster_state(const std::filesystem::path& runtime);

/// How to start a cluster.
struct launch_options {
  enum class mode : std::uint8_t {
    daemon,    ///< goes on after this process
    embedded,  ///< ends with this process
  };
  mode how = mode::daemon;
  std::filesystem::path supervisor;  ///< the program
  std::vector<std::string> head;     ///< berthd's command line
  std::filesystem::path runtime;     ///< created (0700); embedded and empty: a temporary one
  std::filesystem::path state;       ///< created (0700); embedded and empty: a temporary one
  std::chrono::milliseconds patience = std::chrono::seconds(20);  ///< until ready
  std::chrono::milliseconds drain = std::chrono::seconds(5);      ///< of running calls at the end
};

/// A resource: a cluster this process started. An embedded one ends, and is awaited, when its owner is dropped;
/// a daemon goes on.
class running_cluster {
 public:
  running_cluster() = default;
  running_cluster(running_cluster&&) noexcept = default;
  running_cluster& operator=(running_cluster&& other) noexcept;
  ~running_cluster();

  [[nodiscard]] const cluster_state& state() const noexcept { return state_; }

  /// Ends it and waits. Errors: `timed_out` when it had to be killed.
  result<void> stop();

 private:
  friend result<running_cluster> launch(const launch_options& options);
  cluster_state state_;
  child supervisor_;
  base::unique_fd lifeline_;
  std::chrono::milliseconds drain_{0};
};

/// Starts a supervisor and waits until its head is ready. The head finds `--runtime` and `--state` appended to its
/// command line. Errors: `conflict` when the folder is in use, `invalid` when a path is too long for a socket, `missing`
/// when a program is, `timed_out`, `failed` with the last lines of the cluster's log.
result<running_cluster> launch(const launch_options& options);

/// For `up --foreground`: prepares the folders and says what to exec; that program then serves systemd's protocol on
/// $NOTIFY_SOCKET and logs to this one's stderr. Errors: as `launch` for folders and paths.
result<std::vector<std::string>> foreground_command(const launch_options& options);

/// Asks the supervisor of a running cluster to stop and waits. Errors: `timed_out` when it still runs.
result<void> stop_cluster(const cluster_state& state, std::chrono::milliseconds patience);

}  // namespace berth::process
