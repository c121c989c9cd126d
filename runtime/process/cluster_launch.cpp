#include "runtime/process/cluster_launch.hpp"

#include "runtime/base/folders.hpp"
#include "runtime/process/folder_lock.hpp"
#include "runtime/process/lifeline.hpp"
#include "runtime/process/ready_report.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <fstream>
#include <poll.h>
#include <sstream>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace berth::process {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr std::size_t report_bytes_max = 64 * 1024;
constexpr std::size_t state_bytes_max = 64 * 1024;
constexpr std::size_t log_lines_shown = 20;
constexpr std::uintmax_t log_bytes_kept = 4 * 1024 * 1024;
constexpr milliseconds end_patience{4'000};  // supervisor and head after the drain
constexpr const char* socket_leaf_longest = "control.sock";
constexpr const char* temporary_prefix = "berth-embedded-";

// Values stand on one line each: what would break a line is written as \n and \\.
std::string escaped(const std::string& text) {
  std::string all;
  for (const char one : text)
    all += one == '\n' ? "\\n" : one == '\\' ? "\\\\" : std::string(1, one);
  return all;
}

std::string unescaped(std::string_view text) {
  std::string all;
  for (std::size_t n = 0; n < text.size(); ++n) {
    const bool escape = text[n] == '\\' && n + 1 < text.size();
    all += !escape ? text[n] : text[++n] == 'n' ? '\n' : text[n];
  }
  return all;
}

error_info unreadable(const fs::path& file, const std::string& why) {
  return fail(kind::invalid, "cluster_file", file.string() + " " + why + "; remove it");
}

result<std::string> read_private(const fs::path& file) {
  const base::unique_fd in(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!in && errno == ENOENT)
    return fail(
        kind::missing, "no_cluster",
        "no cluster runs in " + file.parent_path().string() + "; start one with `berth up`");

  struct stat facts {};

  if (!in || ::fstat(in.get(), &facts) != 0)
    return fail(kind::failed, "cluster_file", file.string() + ": " + std::strerror(errno));
  if (facts.st_uid != ::geteuid() && ::geteuid() != 0)
    return fail(kind::denied, "cluster_file", file.string() + " belongs to another user");
  std::string text(std::min<std::size_t>(static_cast<std::size_t>(facts.st_size), state_bytes_max),
                   '\0');
  const auto got = ::read(in.get(), text.data(), text.size());
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

std::optional<pid_t> pid_from(const std::string& text) {
  pid_t pid = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size() || pid <= 1)
    return std::nullopt;
  return pid;
}

std::string take(std::map<std::string, std::string>& facts, const std::string& key) {
  auto node = facts.extract(key);
  return node.empty() ? std::string() : node.mapped();
}

// The end of a log behind `began`, from its descriptor: a temporary folder may be removed by now.
std::string last_lines(int log, off_t began) {
  constexpr off_t looked_at = 16 * 1024;
  const off_t size = ::lseek(log, 0, SEEK_END);
  const off_t from = std::max({off_t{0}, began, size - looked_at});
  std::string text(static_cast<std::size_t>(std::max<off_t>(0, size - from)), '\0');
  const auto got = ::pread(log, text.data(), text.size(), from);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  std::deque<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    lines.push_back(line);
    if (lines.size() > log_lines_shown) lines.pop_front();
  }
  std::string shown;
  for (const auto& line : lines)
    shown += "\n  | " + line;
  return shown;
}

// ---- folders of embedded clusters

fs::path temporary_root() {
  const auto env = base::process_environment();
  const auto runtime = env("XDG_RUNTIME_DIR");
  std::error_code ignored;
  return runtime && fs::is_directory(*runtime, ignored) ? fs::path(*runtime) : fs::path("/tmp");
}

// What clusters killed together with their supervisor left behind: ours by name and owner, free by their lock.
void sweep_temporary_folders(const fs::path& root) {
  constexpr std::chrono::minutes young{1};  // another program may be about to lock it
  std::error_code ignored;
  for (const auto& one : fs::directory_iterator(root, ignored)) {
    if (!one.path().filename().string().starts_with(temporary_prefix)) continue;

    struct stat facts {};

    const bool ours = ::lstat(one.path().c_str(), &facts) == 0 && S_ISDIR(facts.st_mode)
                      && facts.st_uid == ::geteuid();
    if (!ours || ::time(nullptr) - facts.st_mtime < std::chrono::seconds(young).count()) continue;
    if (!folder_holder(one.path())) fs::remove_all(one.path(), ignored);
  }
}

result<fs::path> make_temporary_folder() {
  const auto root = temporary_root();
  sweep_temporary_folders(root);
  auto path = (root / (std::string(temporary_prefix) + "XXXXXX")).string();
  if (::mkdtemp(path.data()) == nullptr)
    return fail(kind::failed, "no_folder", path + ": " + std::strerror(errno));
  return fs::path(path);
}

// ---- starting

struct launch_folders {
  fs::path runtime;
  fs::path state;
  bool temporary = false;
};

result<launch_folders> prepare_folders(const launch_options& options) {
  launch_folders folders{options.runtime, options.state, false};
  if (options.how == launch_options::mode::embedded && folders.runtime.empty()) {
    auto made = make_temporary_folder();
    if (!made) return std::move(made).error();
    folders = {*made, *made / "state", true};
  }
  for (const auto& one : {folders.runtime, folders.state})
    if (auto made = base::make_private(one); !made) return std::move(made).error();
  if (auto fits = base::socket_path(folders.runtime, socket_leaf_longest); !fits)
    return std::move(fits).error();
  return folders;
}

base::unique_fd open_log(const fs::path& file) {
  std::error_code ignored;
  if (fs::file_size(file, ignored) > log_bytes_kept && !ignored)
    fs::rename(file, file.string() + ".1", ignored);
  return base::unique_fd(
      ::open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
}

std::vector<std::string> command_line(const launch_options& options,
                                      const launch_folders& folders,
                                      std::vector<std::string> more) {
  std::vector<std::string> argv{options.supervisor.string(),
                                "--runtime",
                                folders.runtime.string(),
                                "--state",
                                folders.state.string(),
                                "--drain-ms",
                                std::to_string(options.drain.count())};
  if (folders.temporary) more.emplace_back("--remove-folders");
  more.emplace_back("--");
  argv.insert(argv.end(), more.begin(), more.end());
  argv.insert(argv.end(), options.head.begin(), options.head.end());
  return argv;
}

command supervisor_command(const launch_options& options,
                           const launch_folders& folders,
                           std::vector<int> descriptors) {
  const bool embedded = options.how == launch_options::mode::embedded;
  std::vector<std::string> more{"--ready-fd", "3"};
  if (embedded) more.insert(more.end(), {"--embedded", "--owner-fd", "4", "--lifeline-fd", "5"});
  command what;
  what.argv = command_line(options, folders, std::move(more));
  what.env = own_environment();
  what.cwd = "/";
  what.descriptors = std::move(descriptors);
  what.relation = embedded ? command::kin::group : command::kin::session;
  return what;
}

// Reads until end of file or a whole report; false when `patience` passed first.
bool read_report(int from, std::string& text, milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  std::array<char, 1024> part{};
  for (;;) {
    const auto left =
        std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd one{from, POLLIN, 0};
    const int rc = ::poll(&one, 1, static_cast<int>(std::max<long>(0, left.count())));
    if (rc < 0 && errno == EINTR) continue;
    if (rc <= 0) return false;
    const auto got = ::read(from, part.data(), part.size());
    if (got <= 0 || text.size() > report_bytes_max) return true;
    text.append(part.data(), static_cast<std::size_t>(got));
    if (text == ready_report({})) return true;
  }
}

result<void> await_ready(int from, milliseconds patience) {
  std::string text;
  if (!read_report(from, text, patience))
    return fail(kind::timed_out, "not_ready",
                "the cluster was not ready within " + std::to_string(patience.count()) + " ms");
  return read_ready_report(text);
}

void end_supervisor(child& supervisor, milliseconds drain) {
  supervisor.signal(SIGTERM);
  if (!supervisor.wait(drain + end_patience)) supervisor.kill_group();
}

}  // namespace

fs::path cluster_file(const fs::path& runtime) {
  return runtime / "cluster";
}

result<void> write_cluster_state(const cluster_state& state) {
  auto facts = state.facts;
  facts["supervisor_pid"] = std::to_string(state.supervisor);
  facts["head_pid"] = std::to_string(state.head);
  facts["runtime"] = state.runtime.string();
  facts["state"] = state.state.string();
  facts["embedded"] = state.embedded ? "true" : "false";
  std::string text;
  for (const auto& [key, value] : facts)
    text += key + "=" + escaped(value) + "\n";
  const auto file = cluster_file(state.runtime);
  const auto fresh = file.string() + ".new";
  {
    const base::unique_fd out(
        ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!out || ::write(out.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
      return fail(kind::failed, "cluster_file", fresh + ": " + std::strerror(errno));
  }
  if (::rename(fresh.c_str(), file.c_str()) != 0)
    return fail(kind::failed, "cluster_file", file.string() + ": " + std::strerror(errno));
  return {};
}

result<cluster_state> read_cluster_state(const fs::path& runtime) {
  const auto file = cluster_file(runtime);
  auto text = read_private(file);
  if (!text) return std::move(text).error();
  cluster_state state;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    const auto equals = line.find('=');
    if (equals == std::string::npos) return unreadable(file, "has a line without '='");
    state.facts[line.substr(0, equals)] = unescaped(std::string_view(line).substr(equals + 1));
  }
  const auto supervisor = pid_from(take(state.facts, "supervisor_pid"));
  const auto head = pid_from(take(state.facts, "head_pid"));
  if (!supervisor || !head) return unreadable(file, "names no processes");
  state.supervisor = *supervisor;
  state.head = *head;
  state.runtime = take(state.facts, "runtime");
  state.state = take(state.facts, "state");
  state.embedded = take(state.facts, "embedded") == "true";
  if (folder_holder(runtime) != state.supervisor || ::kill(state.supervisor, 0) != 0)
    return fail(kind::disconnected, "cluster_gone",
                "the cluster of " + runtime.string() + " (supervisor pid "
                    + std::to_string(state.supervisor) + ") is gone; start it with `berth up`");
  return state;
}

result<running_cluster> launch(const launch_options& options) {
  auto folders = prepare_folders(options);
  if (!folders) return std::move(folders).error().at("while preparing the cluster's folders");
  const bool embedded = options.how == launch_options::mode::embedded;
  auto ready = make_pipe();
  auto line = make_pipe();
  if (!ready || !line) return std::move(ready ? line : ready).error();
  const base::unique_fd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  std::vector<int> descriptors{ready->write.get()};
  if (embedded) descriptors.insert(descriptors.end(), {self.get(), line->read.get()});
  const auto log = open_log(folders->state / "cluster.log");
  const auto log_began = ::lseek(log.get(), 0, SEEK_END);
  auto what = supervisor_command(options, *folders, std::move(descriptors));
  what.err = log.get();
  auto born = start(what);
  if (!born) return std::move(born).error().at("while starting the supervisor");
  ready->write.reset();
  line->read.reset();
  auto outcome = await_ready(ready->read.get(), options.patience);
  if (!outcome) {
    auto why = std::move(outcome).error();
    end_supervisor(*born, milliseconds(0));
    if (why.code != "folder_in_use") why.message += last_lines(log.get(), log_began);
    return std::move(why).at("while waiting for the cluster in " + folders->runtime.string());
  }
  auto state = read_cluster_state(folders->runtime);
  if (!state) return std::move(state).error();
  running_cluster running;
  running.state_ = std::move(*state);
  running.drain_ = options.drain;
  if (!embedded) {
    born->let_go();
    return running;
  }
  running.supervisor_ = std::move(*born);
  running.lifeline_ = std::move(line->write);
  return running;
}

result<std::vector<std::string>> foreground_command(const launch_options& options) {
  auto folders = prepare_folders(options);
  if (!folders) return std::move(folders).error().at("while preparing the cluster's folders");
  return command_line(options, *folders, {"--foreground"});
}

running_cluster& running_cluster::operator=(running_cluster&& other) noexcept {
  std::swap(state_, other.state_);
  std::swap(supervisor_, other.supervisor_);
  std::swap(lifeline_, other.lifeline_);
  std::swap(drain_, other.drain_);
  return *this;
}

running_cluster::~running_cluster() {
  if (supervisor_.pid() > 0) (void)stop();
}

result<void> running_cluster::stop() {
  if (supervisor_.pid() <= 0) return stop_cluster(state_, drain_ + end_patience);
  supervisor_.signal(SIGTERM);
  const auto end = supervisor_.wait(drain_ + end_patience);
  if (end) return {};
  supervisor_.kill_group();
  return fail(kind::timed_out, "still_running", "the cluster did not end in time and was killed");
}

result<void> stop_cluster(const cluster_state& state, milliseconds patience) {
  const base::unique_fd supervisor(
      static_cast<int>(::syscall(SYS_pidfd_open, state.supervisor, 0)));
  // The number may have gone to somebody else since the file was read: the lock tells.
  if (!supervisor || folder_holder(state.runtime) != state.supervisor) return {};
  ::syscall(SYS_pidfd_send_signal, supervisor.get(), SIGTERM, nullptr, 0);
  pollfd gone{supervisor.get(), POLLIN, 0};
  if (::poll(&gone, 1, static_cast<int>(patience.count())) > 0) return {};
  return fail(kind::timed_out, "still_running",
              "supervisor pid " + std::to_string(state.supervisor) + " did not end within "
                  + std::to_string(patience.count()) + " ms");
}

}  // namespace berth::process
