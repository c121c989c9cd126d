#pragma once
// One worker process as its node sees it: order, control socket, page, log ring, and what became of it.

#include "actors/worker_host.hpp"
#include "runtime/base/unique_fd.hpp"
#include "runtime/process/death.hpp"
#include "runtime/process/log_ring.hpp"
#include "runtime/process/supervisor_messages.hpp"
#include "runtime/process/worker_control.hpp"
#include "runtime/process/worker_page.hpp"
#include "runtime/store/blob_store.hpp"

#include <atomic>
#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace berth::actors {

/// A message on its way to a worker.
struct outgoing {
  std::vector<std::byte> bytes;
  std::vector<base::unique_fd> descriptors;
};

struct worker_process {
  replica_order order;
  std::string title;  ///< "digits/classify@7"
  std::int64_t pid = 0;
  std::string state = "starting";
  std::optional<error_info> unfit;  ///< why it cannot serve, as it said itself
  clock::time_point since = clock::now();
  base::unique_fd control;  ///< our end
  std::deque<outgoing> outbox;
  std::unique_ptr<process::page_reader> page;
  std::shared_ptr<process::log_ring> log;
  std::uint32_t links = 0;
  std::atomic<bool> ended = false;
  std::string death;  ///< for people, once it ended
  std::filesystem::path folder;

  [[nodiscard]] std::string target() const;
  [[nodiscard]] worker_row row() const;
  [[nodiscard]] std::vector<verbs::log_row> lines(std::size_t n) const;
  [[nodiscard]] verbs::log_row row_of(const process::log_line& line) const;
};

/// Everything a start needs: the worker with its first messages in the outbox, the command, and the far descriptors in
/// the command's order, which stay open until the supervisor has them.
struct worker_start {
  std::unique_ptr<worker_process> worker;
  process::worker_command command;
  base::unique_fd far_control;
};

struct worker_setting {
  std::filesystem::path worker_program;
  std::filesystem::path work_folder;
  std::vector<std::string> environment;
  const store::blob_store* blobs = nullptr;
};

/// Makes page (with its gates as ordered), ring, folder and socket, and packs what the worker loads.
/// Errors: `missing` content, `invalid` manifest, `overloaded` descriptors, `failed` with the system's reason.
[[nodiscard]] result<worker_start> prepare_start(const replica_order& what,
                                                 const worker_setting& setting);

}  // namespace berth::actors
