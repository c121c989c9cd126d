#pragma once
// Process host: workers as real processes, started by the supervisor, watched over their control sockets.
//
// The supervisor tells of starts and deaths, the worker itself of being ready or unfit; what a dead worker left (page
// and log ring) is kept for a while, so that its calls' fate and its last lines can still be told.

#include "actors/worker_host.hpp"
#include "runtime/net/endpoint.hpp"
#include "runtime/process/supervisor_client.hpp"
#include "runtime/store/blob_store.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace berth::actors {

struct process_host_options {
  std::filesystem::path worker_program;  ///< `berth-worker`
  std::filesystem::path work_folder;     ///< each worker gets a folder of its own in it
  std::vector<std::string> environment;  ///< of every worker, before its version's own
  store::blob_store* blobs = nullptr;    ///< outlives the host
  std::size_t dead_max = 16;             ///< ended workers remembered
};

class process_host final : public worker_host {
 public:
  explicit process_host(process_host_options options);
  ~process_host() override;

  /// What the supervisor's client shall tell; give it to the client, then the client to `use`.
  [[nodiscard]] process::supervisor_events events(
      std::function<void(const process::stop_asked&)> stop,
      std::function<void(const error_info&)> gone);
  /// The client must outlive the host's `stop`.
  void use(process::supervisor_client& supervisor);

  /// Hands a client's socket to a worker. Errors: `missing` (no such worker, or not ready), `disconnected`.
  result<void> hand_over(std::uint64_t replica, net::accepted socket);

  void listen(std::function<void(replica_event)> sink) override;
  result<void> start(const replica_order& what) override;
  void drain(std::uint64_t replica, std::chrono::milliseconds patience) override;
  void kill(std::uint64_t replica) override;
  void close(const std::string& name, const std::vector<gate>& gates) override;
  std::vector<worker_row> workers(const std::string& prefix) override;
  std::vector<verbs::counter_row> counters(const std::string& prefix) override;
  call_fate fate(std::uint64_t replica, std::uint64_t link, std::uint64_t call) override;
  std::vector<verbs::log_row> log_lines(const std::string& prefix, std::uint32_t lines) override;
  void follow_logs(std::uint64_t id,
                   std::string prefix,
                   std::function<void(std::vector<verbs::log_row>)> sink) override;
  void unfollow_logs(std::uint64_t id) override;
  void stop() override;

  /// Lets every worker finish and end; returns when all have, or `patience` is over. For the end of the cluster, when
  /// nobody starts workers any more.
  void drain_all(std::chrono::milliseconds patience);

 private:
  struct state;
  std::unique_ptr<state> self_;
};

}  // namespace berth::actors
