#pragma once
// Supervisor: parent of every process of a node.
//
// It starts the head, starts workers when the head asks, tells the head how each ended, and starts the head again
// within a budget when it dies. Workers end with their head. It has one thread, no database, no actors: there is
// little in it that could fail. When it ends, in whatever way, the lifelines end everything else.

#include "runtime/base/unique_fd.hpp"
#include "runtime/process/child.hpp"
#include "runtime/process/packet_socket.hpp"
#include "runtime/process/restart_budget.hpp"
#include "runtime/process/supervisor_messages.hpp"

#include <berth/error.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace berth::process {

struct supervisor_options {
  std::vector<std::string> head;  ///< command line; `--runtime` and `--state` are appended
  std::filesystem::path runtime;  ///< exists, private
  std::filesystem::path state;    ///< exists, private
  bool embedded = false;          ///< said in the cluster's file
  bool remove_folders = false;    ///< both are temporary: removed at the end
  std::chrono::milliseconds drain = std::chrono::seconds(5);
  base::unique_fd ready;      ///< who started us waits here (ready_report.hpp)
  base::unique_fd owner;      ///< pidfd: its end is ours
  base::unique_fd lifeline;   ///< pipe: its end of file is ours
  std::string notify_socket;  ///< of systemd; empty for none
};

/// Threads: one. Blocks signals of the calling process and reaps all its children: a program's only occupation.
class supervisor {
 public:
  explicit supervisor(supervisor_options options);

  /// Runs until asked to stop. The exit code for `main`: 0 after a stop that was asked for, else that of the error
  /// which was reported.
  int run();

 private:
  struct worker {
    child process;
    base::unique_fd lifeline;
    bool asked = false;
    std::optional<std::chrono::steady_clock::time_point> kill_at;
  };

  using clock = std::chrono::steady_clock;

  result<void> begin();
  result<void> start_head();
  result<void> serve();
  void finish();

  void wait_for_events();
  void on_signals();
  void on_head_message();
  void reap_all();
  void head_ended(const death& how);
  void worker_ended_as(std::uint64_t id, const death& how);
  void check_deadlines();
  [[nodiscard]] int poll_limit_ms() const;

  void obey(const start_worker& what, std::vector<base::unique_fd>& passed);
  void obey(const stop_worker& what);
  void obey(const head_ready& what);
  void stop(std::chrono::milliseconds drain, const char* why);
  result<pid_t> start(const start_worker& what, std::vector<base::unique_fd>& passed);

  void tell_head(const from_supervisor& message);
  void end_workers();
  void give_up(error_info why);

  supervisor_options options_;
  base::unique_fd lock_;
  base::unique_fd signals_;
  child head_;
  base::unique_fd head_lifeline_;
  base::unique_fd head_socket_;
  std::uint32_t incarnation_ = 0;
  restart_budget budget_;
  std::map<std::uint64_t, worker> workers_;
  std::deque<worker_ended> unheard_;
  bool was_ready_ = false;
  bool stopping_ = false;
  bool interrupted_ = false;  ///< SIGINT ended it: its exit code says so
  int signals_heard_ = 0;
  std::optional<clock::time_point> head_kill_at_;
  std::optional<error_info> failure_;
  bool done_ = false;
};

}  // namespace berth::process
