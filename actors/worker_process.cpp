#include "actors/worker_process.hpp"

#include "actors/time_text.hpp"
#include "runtime/module/manifest.hpp"
#include "runtime/module/secrets.hpp"
#include "runtime/module/takeover.hpp"
#include "runtime/process/child.hpp"
#include "runtime/process/packet_socket.hpp"

#include <fmt/format.h>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::actors {
namespace {

/// Resident memory, in KiB; 0 when the process is gone.
std::uint64_t memory_of(std::int64_t pid) {
  std::ifstream statm(fmt::format("/proc/{}/statm", pid));
  std::uint64_t total = 0, resident = 0;
  if (pid <= 0 || !(statm >> total >> resident)) return 0;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) / 1024;
}

process::page_size page_of(const replica_order& what) {
  process::page_size size;
  size.threads = what.concurrency;
  return size;
}

/// Packs the content of a manifest into as few messages as descriptors allow; the last is the load itself.
result<std::deque<outgoing>> pack(const replica_order& what,
                                  const std::string& target,
                                  const module::manifest& manifest,
                                  const store::blob_store& blobs) {
  std::deque<outgoing> out;
  std::vector<process::passed_blob> named;
  std::vector<base::unique_fd> opened;
  auto flush_blobs = [&] {
    out.push_back({process::encode(process::to_worker(process::more_blobs{std::move(named)})),
                   std::move(opened)});
    named.clear();
    opened.clear();
  };
  for (const auto& blob : manifest.blobs()) {
    auto fd = blobs.open_blob(blob.digest);
    if (!fd) return std::move(fd).error().at("while passing content to a worker");
    if (opened.size() == process::packet_descriptors_max) flush_blobs();
    named.push_back({blob.digest.hex(), static_cast<std::uint32_t>(opened.size())});
    opened.push_back(*std::move(fd));
  }
  process::load load;
  load.name = what.name;
  load.version = what.version;
  load.digest = what.digest;
  load.manifest = what.manifest;
  load.worker = target;
  load.credits = what.credits;
  load.health_max = std::chrono::milliseconds(what.health_ms_max);
  load.blobs = std::move(named);
  out.push_back({process::encode(process::to_worker(std::move(load))), std::move(opened)});
  return out;
}

result<std::vector<module::variable>> secrets_of(const module::blob& which,
                                                 const store::blob_store& blobs) {
  auto held = blobs.read(which.digest, module::secrets_bytes_max);
  if (!held) return std::move(held).error().at("while reading the version's secret variables");
  return module::parse_secrets({reinterpret_cast<const char*>(held->data()), held->size()});
}

/// The executable of a program that is its own module.
result<std::string> executable_of(const module::manifest& manifest,
                                  const store::blob_store& blobs) {
  auto path = blobs.path_of(manifest.module.digest);
  if (::chmod(path.c_str(), 0500) != 0)
    return fail(kind::failed, "io", fmt::format("{} cannot be made executable", path.string()));
  return path.string();
}

}  // namespace

std::string worker_process::target() const {
  return fmt::format("worker:{}", order.replica);
}

worker_row worker_process::row() const {
  worker_row out;
  out.replica = order.replica;
  out.pid = pid;
  out.name = order.name;
  out.version = order.version;
  out.state = ended ? "ended" : state;
  out.up_ms = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - since).count());
  out.calls = page->finished() + page->running();
  out.links = ended ? 0 : links;
  out.memory_kib = ended ? 0 : memory_of(pid);
  out.last_death = death;
  return out;
}

verbs::log_row worker_process::row_of(const process::log_line& line) const {
  verbs::log_row out;
  out.at = time_text(
      std::chrono::duration_cast<std::chrono::microseconds>(line.at.time_since_epoch()).count());
  out.worker = target();
  out.name = order.name;
  out.version = order.version;
  out.call = line.tag.call;
  out.stream = line.stream == process::log_stream::err ? "err" : "out";
  out.line = line.text;
  out.skipped = line.skipped;
  return out;
}

std::vector<verbs::log_row> worker_process::lines(std::size_t n) const {
  std::vector<verbs::log_row> out;
  for (const auto& line : log->last(n))
    out.push_back(row_of(line));
  return out;
}

result<worker_start> prepare_start(const replica_order& what, const worker_setting& setting) {
  auto manifest = module::parse(what.manifest);
  if (!manifest) return std::move(manifest).error();
  worker_start out;
  out.worker = std::make_unique<worker_process>();
  auto& worker = *out.worker;
  worker.order = what;
  worker.title = fmt::format("{}@{}", what.name, what.version);

  auto page = process::page_reader::make(page_of(what));
  if (!page) return std::move(page).error();
  worker.page = *std::move(page);
  for (const auto& gate : what.gates)
    if (auto ok = worker.page->close_gate(gate.slot, gate.revision); !ok)
      return std::move(ok).error();
  auto log = process::log_ring::make();
  if (!log) return std::move(log).error();
  worker.log = *std::move(log);

  auto pair = process::make_packet_pair();
  if (!pair) return std::move(pair).error();
  worker.control = std::move(pair->near);
  out.far_control = std::move(pair->far);
  auto outbox = pack(what, worker.target(), *manifest, *setting.blobs);
  if (!outbox) return std::move(outbox).error();
  worker.outbox = *std::move(outbox);

  worker.folder = setting.work_folder / fmt::format("worker-{}", what.replica);
  std::error_code problem;
  std::filesystem::create_directories(worker.folder, problem);
  if (problem)
    return fail(kind::failed, "io",
                fmt::format("{} cannot be made: {}", worker.folder.string(), problem.message()));

  auto& command = out.command;
  if (manifest->program) {
    auto program = executable_of(*manifest, *setting.blobs);
    if (!program) return std::move(program).error();
    command.argv = {*std::move(program)};
  } else {
    command.argv = {setting.worker_program.string()};
  }
  command.env = setting.environment;
  for (const auto& variable : manifest->environment)
    process::set_variable(command.env, variable.name, variable.value);
  if (manifest->secrets) {
    auto secrets = secrets_of(*manifest->secrets, *setting.blobs);
    if (!secrets) return std::move(secrets).error();
    for (const auto& variable : *secrets)
      process::set_variable(command.env, variable.name, variable.value);
  }
  if (manifest->program) process::set_variable(command.env, module::program_worker_variable, "1");
  command.cwd = worker.folder.string();
  command.descriptors = {process::worker_descriptors::control, process::worker_descriptors::page,
                         process::worker_descriptors::log};
  return out;
}

}  // namespace berth::actors
