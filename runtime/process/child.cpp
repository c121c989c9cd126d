#include "runtime/process/child.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

extern char** environ;  // NOLINT: POSIX names it so

namespace berth::process {
namespace {

constexpr int first_passed = 3;
constexpr std::chrono::milliseconds reap_max{2000};

// The two objects posix_spawn wants, freed together.
class spawn_plan {
 public:
  spawn_plan() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }

  spawn_plan(const spawn_plan&) = delete;
  spawn_plan& operator=(const spawn_plan&) = delete;

  ~spawn_plan() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }

  void clean_signals(command::kin relation) {
    sigset_t none;
    sigset_t all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    const int how =
        relation == command::kin::session ? POSIX_SPAWN_SETSID : int{POSIX_SPAWN_SETPGROUP};
    ::posix_spawnattr_setflags(
        &attributes, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | how));
  }

  void standard(int target, int source) {
    if (source < 0)
      ::posix_spawn_file_actions_addopen(&actions, target, "/dev/null",
                                         target == 0 ? O_RDONLY : O_WRONLY, 0);
    else
      ::posix_spawn_file_actions_adddup2(&actions, source, target);
  }

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

error_info not_started(const std::string& program, int reason) {
  const auto text = "starting " + program + ": " + std::strerror(reason);
  switch (reason) {
    case ENOENT:
      return fail(kind::missing, "no_such_program", text);
    case EACCES:
    case EPERM:
      return fail(kind::denied, "not_executable", text);
    case EAGAIN:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      return fail(kind::overloaded, "no_room", text);
    case E2BIG:
    case ENOEXEC:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
      return fail(kind::invalid, "bad_command", text);
    default:
      return fail(kind::failed, "not_started", text);
  }
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> all;
  all.reserve(texts.size() + 1);
  for (const auto& text : texts)
    all.push_back(const_cast<char*>(text.c_str()));  // posix_spawn does not write to them
  all.push_back(nullptr);
  return all;
}

// Copies above every number the child will use, so that no target overwrites a source that is still needed.
result<std::vector<base::unique_fd>> lifted(const command& what) {
  const int floor = first_passed + static_cast<int>(what.descriptors.size());
  std::vector<int> sources = what.descriptors;
  sources.insert(sources.end(), {what.in, what.out, what.err});
  std::vector<base::unique_fd> copies;
  for (const int source : sources) {
    base::unique_fd copy(source < 0 ? -1 : ::fcntl(source, F_DUPFD_CLOEXEC, floor));
    if (source >= 0 && !copy) return not_started(what.argv[0], errno);
    copies.push_back(std::move(copy));
  }
  return copies;
}

death from(const siginfo_t& facts) {
  death end{facts.si_pid, death::way::signalled, facts.si_status, facts.si_code == CLD_DUMPED};
  if (facts.si_code == CLD_EXITED) end.how = death::way::exited;
  return end;
}

}  // namespace

std::vector<std::string> own_environment() {
  std::vector<std::string> all;
  for (char** one = environ; one != nullptr && *one != nullptr; ++one)
    all.emplace_back(*one);
  return all;
}

void set_variable(std::vector<std::string>& env,
                  const std::string& name,
                  const std::string& value) {
  std::erase_if(env, [&](const std::string& one) { return one.starts_with(name + "="); });
  env.push_back(name + "=" + value);
}

child::child(child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}

child& child::operator=(child&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(pidfd_, other.pidfd_);
  return *this;
}

child::~child() {
  if (pid_ <= 0) return;
  kill_group();
  (void)wait(reap_max);
}

void child::signal(int number) const noexcept {
  if (pid_ > 0) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0);
}

void child::signal_group(int number) const noexcept {
  if (pid_ > 0) ::kill(-pid_, number);
}

void child::kill_group() const noexcept {
  signal_group(SIGKILL);
}

std::optional<death> child::reap() noexcept {
  if (pid_ <= 0) return std::nullopt;
  siginfo_t facts{};
  const auto id = static_cast<id_t>(pidfd_.get());
  const int rc = ::waitid(static_cast<idtype_t>(P_PIDFD), id, &facts, WEXITED | WNOHANG | WNOWAIT);
  if (rc == 0 && facts.si_pid == 0) return std::nullopt;
  death end{pid_, death::way::unknown, 0, false};
  if (rc == 0) {
    end = from(facts);
    kill_group();  // while the zombie keeps the number
    ::waitid(static_cast<idtype_t>(P_PIDFD), id, &facts, WEXITED | WNOHANG);
  } else {
    pollfd gone{pidfd_.get(), POLLIN,
                0};  // reaped by somebody else, or not ours to reap: is it dead?
    if (::poll(&gone, 1, 0) == 0) return std::nullopt;
  }
  pid_ = -1;
  pidfd_.reset();
  return end;
}

std::optional<death> child::wait(std::chrono::milliseconds patience) noexcept {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (pid_ > 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd gone{pidfd_.get(), POLLIN, 0};
    const int rc = ::poll(&gone, 1, static_cast<int>(std::max<long>(0, left.count())));
    if (rc > 0) return reap();
    if (rc == 0 || errno != EINTR) return std::nullopt;
  }
  return std::nullopt;
}

void child::let_go() noexcept {
  pid_ = -1;
  pidfd_.reset();
}

result<child> start(const command& what) {
  if (what.argv.empty()) return fail(kind::invalid, "bad_command", "a command without a program");
  auto copies = lifted(what);
  if (!copies) return std::move(copies).error();
  spawn_plan plan;
  plan.clean_signals(what.relation);
  const auto passed = what.descriptors.size();
  const auto source = [&](std::size_t n) { return (*copies)[n].get(); };
  for (std::size_t n = 0; n < passed; ++n)
    ::posix_spawn_file_actions_adddup2(&plan.actions, source(n),
                                       first_passed + static_cast<int>(n));
  for (int n = 0; n < 3; ++n)
    plan.standard(n, source(passed + static_cast<std::size_t>(n)));
  ::posix_spawn_file_actions_addclosefrom_np(&plan.actions,
                                             first_passed + static_cast<int>(passed));
  if (!what.cwd.empty()) ::posix_spawn_file_actions_addchdir_np(&plan.actions, what.cwd.c_str());
  child born;
  const int rc = ::posix_spawnp(&born.pid_, what.argv[0].c_str(), &plan.actions, &plan.attributes,
                                pointers(what.argv).data(), pointers(what.env).data());
  if (rc != 0) {
    born.pid_ = -1;
    return not_started(what.argv[0] + (what.cwd.empty() ? "" : " in " + what.cwd), rc);
  }
  born.pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, born.pid_, 0)));
  if (!born.pidfd_) return not_started(what.argv[0], errno);
  return born;
}

}  // namespace berth::process
