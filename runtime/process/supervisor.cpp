#include "runtime/process/supervisor.hpp"

#include "runtime/process/cluster_launch.hpp"
#include "runtime/process/folder_lock.hpp"
#include "runtime/process/lifeline.hpp"
#include "runtime/process/orphans.hpp"
#include "runtime/process/packet_codec.hpp"
#include "runtime/process/ready_report.hpp"
#include "runtime/process/service_notify.hpp"
#include "runtime/process/supervisor_client.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace berth::process {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t restarts_max = 5;
constexpr milliseconds restarts_window{60'000};
constexpr std::size_t unheard_max = 64;
constexpr milliseconds lock_patience{3'000};  // a head whose supervisor died ends within 2 s
constexpr milliseconds beyond_drain{1'000};   // for the head to end after its workers drained
constexpr milliseconds ready_send_max{200};

void say(const std::string& line) {
  std::fprintf(stderr, "berth-supervisor: %s\n", line.c_str());
}

void remove_sockets(const std::filesystem::path& folder) {
  std::error_code ignored;
  for (const auto& one : std::filesystem::directory_iterator(folder, ignored))
    if (one.is_socket(ignored)) std::filesystem::remove(one.path(), ignored);
}

base::unique_fd open_signals() {
  sigset_t ours;
  ::sigemptyset(&ours);
  for (const int one : {SIGTERM, SIGINT, SIGCHLD})
    ::sigaddset(&ours, one);
  ::sigprocmask(SIG_BLOCK, &ours, nullptr);
  ::signal(SIGHUP, SIG_IGN);  // of the terminal that started us
  ::signal(SIGPIPE, SIG_IGN);
  return base::unique_fd(::signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK));
}

// The head's exit code is that of its error: what the user can mend, `berth up` says in the same way.
kind kind_of(const death& how) {
  if (how.how == death::way::exited)
    for (const auto one : {kind::invalid, kind::missing, kind::denied, kind::conflict})
      if (exit_code(one) == how.number) return one;
  return kind::failed;
}

}  // namespace

supervisor::supervisor(supervisor_options options)
    : options_(std::move(options)), budget_(restarts_max, restarts_window) {}

int supervisor::run() {
  auto outcome = begin();
  if (outcome) outcome = serve();
  if (!outcome) say(outcome.error().to_string());
  if (!outcome && options_.ready) {
    const auto report = ready_report(outcome);
    if (::write(options_.ready.get(), report.data(), report.size()) < 0)
      say("nobody waits for this any more");
  }
  finish();
  if (!outcome) return exit_code(outcome.error().kind);
  return interrupted_ ? exit_code(kind::cancelled) : EXIT_SUCCESS;
}

result<void> supervisor::begin() {
  signals_ = open_signals();
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  auto lock = lock_folder(options_.runtime, lock_patience);
  if (!lock) {
    options_.remove_folders = false;  // somebody else's
    return std::move(lock).error();
  }
  lock_ = std::move(*lock);
  remove_sockets(options_.runtime);
  std::error_code ignored;
  std::filesystem::remove(cluster_file(options_.runtime), ignored);
  return start_head();
}

result<void> supervisor::start_head() {
  auto sockets = make_packet_pair();
  if (!sockets) return std::move(sockets).error();
  auto line = make_pipe();
  if (!line) return std::move(line).error();
  command what;
  what.argv = options_.head;
  what.argv.insert(what.argv.end(),
                   {"--runtime", options_.runtime.string(), "--state", options_.state.string()});
  what.env = own_environment();
  std::erase_if(what.env, [](const auto& one) { return one.starts_with("NOTIFY_SOCKET="); });
  set_variable(what.env, lifeline_variable, "3");
  set_variable(what.env, supervisor_variable, "4");
  set_variable(what.env, lock_variable, "5");
  what.descriptors = {line->read.get(), sockets->far.get(), lock_.get()};
  what.out = STDERR_FILENO;
  what.err = STDERR_FILENO;
  auto born = process::start(what);
  if (!born) return std::move(born).error().at("while starting the head process");
  head_ = std::move(*born);
  head_lifeline_ = std::move(line->write);
  head_socket_ = std::move(sockets->near);
  welcome greeting{++incarnation_, ::getpid(), {unheard_.begin(), unheard_.end()}};
  unheard_.clear();
  tell_head(greeting);
  return {};
}

result<void> supervisor::serve() {
  while (!done_) {
    wait_for_events();
    check_deadlines();
  }
  if (failure_) return *failure_;
  return {};
}

int supervisor::poll_limit_ms() const {
  auto next = head_kill_at_;
  for (const auto& [id, one] : workers_)
    if (one.kill_at && (!next || *one.kill_at < *next)) next = one.kill_at;
  if (!next) return -1;
  const auto left = std::chrono::ceil<milliseconds>(*next - clock::now()).count();
  return static_cast<int>(std::clamp<long>(left, 0, 60'000));
}

void supervisor::wait_for_events() {
  pollfd sources[4]{{signals_.get(), POLLIN, 0},
                    {head_socket_.get(), POLLIN, 0},
                    {stopping_ ? -1 : options_.owner.get(), POLLIN, 0},
                    {stopping_ ? -1 : options_.lifeline.get(), POLLIN, 0}};
  if (::poll(sources, 4, poll_limit_ms()) <= 0) return;
  if (sources[1].revents != 0) on_head_message();
  if (sources[0].revents != 0) on_signals();
  if (!stopping_ && (sources[2].revents | sources[3].revents) != 0)
    stop(milliseconds(0), "the program that owns this cluster is gone");
}

void supervisor::on_signals() {
  signalfd_siginfo one{};
  while (::read(signals_.get(), &one, sizeof one) == sizeof one) {
    if (one.ssi_signo == SIGCHLD) continue;
    interrupted_ = interrupted_ || one.ssi_signo == SIGINT;
    // The first one asks politely, also when the head asked before; whoever sends a second is in a hurry.
    stop(++signals_heard_ == 1 ? options_.drain : milliseconds(0), "asked by a signal");
  }
  reap_all();
}

void supervisor::on_head_message() {
  auto one = receive_packet(head_socket_.get(), milliseconds(0));
  if (one && !*one) return;
  auto message =
      one ? decode_to_supervisor((*one)->bytes) : result<to_supervisor>(std::move(one).error());
  if (!message) {
    if (message.error().code == unknown_message().code) return;
    // It is about to end, or talks nonsense: either way this conversation is over, and soon the head is too.
    head_socket_.reset();
    if (!head_kill_at_) head_kill_at_ = clock::now() + beyond_drain;
    return;
  }
  std::visit(match{[&](const start_worker& what) { obey(what, (*one)->descriptors); },
                   [&](const stop_worker& what) { obey(what); },
                   [&](const head_ready& what) { obey(what); },
                   [&](const shut_down& what) { stop(what.drain, "asked by the head"); }},
             *message);
}

// ---- what the head asks for

void supervisor::obey(const start_worker& what, std::vector<base::unique_fd>& passed) {
  auto started = start(what, passed);
  if (started)
    tell_head(worker_started{what.worker, *started});
  else
    tell_head(worker_refused{what.worker, std::move(started).error()});
}

result<pid_t> supervisor::start(const start_worker& what, std::vector<base::unique_fd>& passed) {
  if (stopping_) return fail(kind::cancelled, "stopping", "the cluster is being stopped");
  if (workers_.count(what.worker) != 0 || passed.size() != what.what.descriptors.size())
    return fail(kind::invalid, "bad_request",
                "a worker's id must be new and each of its descriptors named");
  auto line = make_pipe();
  if (!line) return std::move(line).error();
  command start;
  start.argv = what.what.argv;
  start.env = what.what.env;
  start.cwd = what.what.cwd;
  start.out = STDERR_FILENO;
  start.err = STDERR_FILENO;
  start.descriptors = {line->read.get()};
  set_variable(start.env, lifeline_variable, "3");
  for (std::size_t n = 0; n < passed.size(); ++n) {
    start.descriptors.push_back(passed[n].get());
    set_variable(start.env, what.what.descriptors[n], std::to_string(4 + n));
  }
  auto born = process::start(start);
  if (!born)
    return std::move(born).error().at("while starting worker " + std::to_string(what.worker));
  const auto pid = born->pid();
  workers_.emplace(what.worker, worker{std::move(*born), std::move(line->write), false, {}});
  return pid;
}

void supervisor::obey(const stop_worker& what) {
  const auto found = workers_.find(what.worker);
  if (found == workers_.end()) return;  // it ended meanwhile; the head hears of that
  auto& one = found->second;
  one.asked = true;
  one.lifeline.reset();
  if (what.grace.count() == 0)
    one.process.kill_group();
  else
    one.kill_at = clock::now() + what.grace;
}

void supervisor::obey(const head_ready& what) {
  cluster_state state{::getpid(),     head_.pid(),       options_.runtime,
                      options_.state, options_.embedded, what.facts};
  auto written = write_cluster_state(state);
  if (!written) return give_up(std::move(written).error());
  was_ready_ = true;
  if (options_.ready) {
    const auto report = ready_report({});
    if (::write(options_.ready.get(), report.data(), report.size()) < 0)
      say("whoever started this cluster is gone already");
    options_.ready.reset();
  }
  service_notify(options_.notify_socket,
                 "READY=1\nSTATUS=serving\nMAINPID=" + std::to_string(::getpid()));
}

// ---- ends

void supervisor::reap_all() {
  siginfo_t facts{};
  // Look first, reap later: a group is killed while its dead leader keeps the number.
  while (::waitid(P_ALL, 0, &facts, WEXITED | WNOHANG | WNOWAIT) == 0 && facts.si_pid != 0) {
    const pid_t pid = facts.si_pid;
    facts = {};
    if (pid == head_.pid()) {
      if (const auto how = head_.reap()) head_ended(*how);
      continue;
    }
    const auto found = std::find_if(workers_.begin(), workers_.end(), [pid](const auto& one) {
      return one.second.process.pid() == pid;
    });
    if (found == workers_.end()) {
      ::waitpid(pid, nullptr, 0);  // a grandchild whose parent is gone: reaped, never reported
      continue;
    }
    const auto id = found->first;
    if (const auto how = found->second.process.reap()) worker_ended_as(id, *how);
  }
}

void supervisor::worker_ended_as(std::uint64_t id, const death& how) {
  const auto found = workers_.find(id);
  const worker_ended event{id, how, found->second.asked};
  workers_.erase(found);
  if (head_socket_) {
    tell_head(event);
    return;
  }
  unheard_.push_back(event);
  if (unheard_.size() > unheard_max) unheard_.pop_front();
}

void supervisor::head_ended(const death& how) {
  head_socket_.reset();
  head_lifeline_.reset();
  head_kill_at_.reset();
  end_workers();
  if (stopping_) {
    done_ = true;
    return;
  }
  say("the head process " + to_string(how));
  if (!was_ready_)
    return give_up(fail(kind_of(how), "head_died",
                        "the head process " + to_string(how) + " before it was ready"));
  if (!budget_.take(clock::now()))
    return give_up(fail(kind::failed, "head_died",
                        "the head process " + to_string(how) + " for the "
                            + std::to_string(restarts_max + 1)
                            + "th time within a minute; not started again"));
  service_notify(options_.notify_socket, "STATUS=starting the head process again");
  auto started = start_head();
  if (!started) give_up(std::move(started).error());
}

// Workers of this release end with their head; each is awaited, so nothing of theirs is left when a head starts anew.
void supervisor::end_workers() {
  for (auto& [id, one] : workers_)
    one.process.kill_group();
  while (!workers_.empty()) {
    const auto id = workers_.begin()->first;
    const auto how = workers_.begin()->second.process.wait(beyond_drain);
    worker_ended_as(id, how.value_or(death{}));
  }
  kill_orphans();
}

void supervisor::stop(milliseconds drain, const char* why) {
  if (stopping_ && drain.count() > 0) return;
  say(std::string("stopping: ") + why);
  stopping_ = true;
  service_notify(options_.notify_socket, "STOPPING=1");
  tell_head(stop_asked{drain});
  head_kill_at_ = clock::now() + drain + beyond_drain;
  if (head_.pid() <= 0) done_ = true;
}

void supervisor::give_up(error_info why) {
  failure_ = std::move(why);
  done_ = true;
}

void supervisor::check_deadlines() {
  const auto now = clock::now();
  for (auto& [id, one] : workers_)
    if (one.kill_at && *one.kill_at <= now) {
      one.kill_at.reset();
      one.process.kill_group();
    }
  if (head_kill_at_ && *head_kill_at_ <= now) {
    head_kill_at_.reset();
    say("the head process did not end in time; killed");
    head_.kill_group();
  }
}

void supervisor::tell_head(const from_supervisor& message) {
  if (!head_socket_) return;
  const auto sent = send_packet(head_socket_.get(), encode(message), {}, ready_send_max);
  if (sent || sent.error().kind == kind::disconnected) return;
  // A head that does not listen must not hold up the parent of all others.
  say("the head process takes no messages; killed");
  head_.kill_group();
  head_socket_.reset();
}

void supervisor::finish() {
  head_lifeline_.reset();
  if (head_.pid() > 0) {
    head_.kill_group();
    (void)head_.wait(beyond_drain);
  }
  end_workers();
  if (!lock_) return;
  remove_sockets(options_.runtime);
  std::error_code ignored;
  std::filesystem::remove(cluster_file(options_.runtime), ignored);
  if (!options_.remove_folders) return;
  std::filesystem::remove_all(options_.state, ignored);
  std::filesystem::remove_all(options_.runtime, ignored);
}

}  // namespace berth::process
