// What the tests of this folder start: a worker, a head, a program that behaves badly. The first argument says which.
#include "runtime/process/cluster_launch.hpp"
#include "runtime/process/crash_handler.hpp"
#include "runtime/process/lifeline.hpp"
#include "runtime/process/log_capture.hpp"
#include "runtime/process/supervisor_client.hpp"
#include "runtime/process/worker_control.hpp"
#include "runtime/process/worker_page.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <future>
#include <iostream>
#include <linux/close_range.h>
#include <map>
#include <mutex>
#include <pthread.h>
#include <string>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using namespace berth::process;  // NOLINT: the unit under test
using namespace std::chrono_literals;
using arguments = std::vector<std::string>;

struct worker_memory {
  std::unique_ptr<page_writer> page;
  std::unique_ptr<log_writer> log;
};

worker_memory open_memory() {
  worker_memory memory;
  memory.page = page_writer::open(inherited_descriptor(worker_descriptors::page).value()).value();
  memory.log = log_writer::open(inherited_descriptor(worker_descriptors::log).value()).value();
  return memory;
}

void begin_call(page_writer& page, std::uint64_t call) {
  const auto link = page.open_link(1).value();
  (void)page.begin(0,
                   {link, page.counter("caller", "ref@prod"), call, pinned_slot, pinned_revision});
}

[[noreturn]] void wait_for_ever() {
  for (;;)
    ::pause();
}

void hold_lifeline() {
  watch_lifeline(inherited_descriptor(lifeline_variable).value(), {}).value();
}

void say(int fd, const std::string& text) {
  if (::write(fd, text.data(), text.size()) < 0) std::_Exit(99);
}

int deny_stack(int depth) {
  volatile char space[4096];
  space[0] = static_cast<char>(depth);
  return depth < 0 ? space[0] : deny_stack(depth + 1) + space[0];
}

// ---- workers

int wait_here(const arguments&) {
  hold_lifeline();
  wait_for_ever();
}

// Ends with a lifeline that works although the code closed every descriptor it has.
int close_all(const arguments&) {
  hold_lifeline();
  say(1, "ready\n");
  ::close_range(0, ~0U, 0);
  wait_for_ever();
}

// Starts processes that hold on to descriptor 4: one in its group, one that left it.
int family(const arguments&) {
  hold_lifeline();
  const pid_t child = ::fork();
  if (child == 0) wait_for_ever();
  const pid_t escaped = ::fork();
  if (escaped == 0) {
    ::setsid();
    wait_for_ever();
  }
  say(4, std::to_string(child) + " " + std::to_string(escaped) + "\n");
  wait_for_ever();
}

int leave(const arguments& args) {
  return std::stoi(args.at(0));
}

// Signals blocked and ignored, open descriptors: one number each, as this process found them.
int inventory(const arguments&) {
  sigset_t blocked;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  int count = 0;
  int ignored = 0;
  for (int one = 1; one < 32; ++one) {
    struct sigaction action {};

    ::sigaction(one, nullptr, &action);
    count += ::sigismember(&blocked, one) == 1 ? 1 : 0;
    ignored += action.sa_handler == SIG_IGN ? 1 : 0;
  }
  std::string open;
  for (int fd = 0; fd < 256; ++fd)
    if (::fcntl(fd, F_GETFD) >= 0) open += std::to_string(fd) + ",";
  std::printf("blocked=%d ignored=%d open=%s group=%d cwd=%s\n", count, ignored, open.c_str(),
              ::getpgrp() == ::getpid() ? 1 : 0, std::filesystem::current_path().c_str());
  return 0;
}

int crash(const arguments& args) {
  static auto memory = open_memory();
  install_crash_handler(*memory.page).value();
  const crash_stack stack;
  auto capture = log_capture::start(*memory.log, {}).value();
  log_capture::enter({1, 42});
  begin_call(*memory.page, 42);
  for (int n = 1; n <= 25; ++n)
    std::printf("line %d\n", n);
  std::cerr << "about to crash";  // no newline
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  if (args.at(0) == "segv") {
    volatile std::uintptr_t nowhere = 0x10;  // not known to the compiler
    *reinterpret_cast<volatile int*>(nowhere) = 1;
  }
  if (args.at(0) == "abort") std::abort();
  if (args.at(0) == "fpe") ::raise(SIGFPE);
  if (args.at(0) == "stack") return deny_stack(0);
  if (args.at(0) == "kill") ::kill(::getpid(), SIGKILL);
  if (args.at(0) == "exit") std::exit(3);
  return 99;
}

// Calls without end, counted, until somebody kills it.
int count(const arguments&) {
  auto memory = open_memory();
  const auto link = memory.page->open_link(1).value();
  const auto a = memory.page->counter("a", "ref@prod");
  const auto b = memory.page->counter("b", "ref@7");
  for (std::uint64_t call = 1;; ++call) {
    (void)memory.page->begin(0, {link, call % 3 == 0 ? b : a, call, pinned_slot, pinned_revision});
    memory.page->end(0, call % 5 == 0 ? 1 : 0);
  }
}

// Prints in every way there is; the reader of the ring checks what came through.
int print(const arguments&) {
  auto memory = open_memory();
  std::mutex heard;
  std::string hooked;
  auto capture =
      log_capture::start(*memory.log, [&](log_stream, call_tag tag, std::string_view text, bool) {
        const std::lock_guard hold(heard);
        hooked += std::to_string(tag.call) + ":" + std::string(text) + ";";
      }).value();
  FILE* old = ::fdopen(::dup(1), "w");
  log_capture::enter({9, 1});
  std::printf("printf %d\n", 1);
  std::puts("puts");
  std::cout << "cout " << 2.5 << '\n' << "part";
  std::cerr << "cerr\n";
  std::fprintf(stderr, "fprintf stderr\n");
  capture->leave();
  log_capture::enter({9, 2});
  capture->observe({9, 2});
  std::fprintf(old, "old FILE\n");
  std::fflush(old);
  int status = 0;
  if (std::system("echo child; echo child err >&2") != 0) return 98;
  if (const pid_t child = ::fork(); child == 0) {
    std::printf("forked\n");
    std::cout << "forked too" << std::endl;
    std::_Exit(0);
  } else if (::waitpid(child, &status, 0) != child || status != 0) {
    return 97;
  }
  capture->leave();
  std::thread([] { std::printf("a thread of the function\n"); }).join();
  std::vector<std::thread> several;
  for (std::uint64_t call = 10; call < 14; ++call)
    several.emplace_back([call, &capture] {
      log_capture::enter({9, call});
      for (int n = 0; n < 200; ++n) {
        std::printf("of %llu", static_cast<unsigned long long>(call));
        std::cout << ".";
        std::puts("");
      }
      capture->leave();
    });
  for (auto& one : several)
    one.join();
  capture->stop();
  std::fclose(old);
  memory.log->append(log_stream::out, {}, "hooked " + hooked.substr(0, 60));
  std::cout << "after" << std::endl;  // where it went before
  return 0;
}

// ---- heads

// Behaves as `args` ask: what a head process may do to its supervisor.
class head {
 public:
  explicit head(arguments args) : args_(std::move(args)) {}

  int run() {
    hold_lifeline();
    if (asked("die-at-start")) {
      std::fprintf(stderr, "the head says why\n");
      return 7;
    }
    supervisor_events events;
    events.started = [this](const worker_started& one) { add("started", std::to_string(one.pid)); };
    events.refused = [this](const worker_refused& one) { add("refused", one.why.code); };
    events.ended = [this](const worker_ended& one) {
      add("ended", to_string(one.how) + (one.asked ? " as asked" : ""));
    };
    events.stop = [this](const stop_asked&) {
      if (!asked("stubborn")) stop_.set_value();
    };
    client_ = supervisor_client::attach_inherited(std::move(events)).value();
    add("incarnation", std::to_string(client_->greeting().incarnation));
    add("earlier", std::to_string(client_->greeting().earlier.size()));
    start_workers();
    if (!asked("mute")) report();
    if (asked("asks-to-end")) client_->shut_down(300ms).value();
    stop_.get_future().wait();
    return 0;
  }

 private:
  [[nodiscard]] bool asked(const std::string& word) const {
    return std::find(args_.begin(), args_.end(), word) != args_.end();
  }

  void start_workers() {
    std::uint64_t id = 0;
    for (const auto& one : args_) {
      if (!one.starts_with("worker:")) continue;
      worker_command what;
      what.argv = {"/proc/self/exe", one.substr(7)};
      if (const auto blank = what.argv[1].find(' '); blank != std::string::npos) {
        what.argv.push_back(what.argv[1].substr(blank + 1));
        what.argv[1].resize(blank);
      }
      what.argv[0] = std::filesystem::read_symlink("/proc/self/exe");
      if (one == "worker:absent") what.argv[0] = "/no/such/program";
      what.env = own_environment();
      int ends[2];
      if (::pipe2(ends, O_CLOEXEC) != 0) std::_Exit(97);
      what.descriptors = {"BERTH_TEST_FD"};
      client_->start(++id, what, std::vector<int>{ends[1]}).value();
      ::close(ends[1]);
      if (one == "worker:family") add("family", line_from(ends[0]));
      if (one == "worker:wait" && asked("stop-workers")) client_->stop(id, 100ms).value();
    }
  }

  static std::string line_from(int fd) {
    std::string text;
    for (char byte = 0; ::read(fd, &byte, 1) == 1 && byte != '\n';)
      text += byte;
    return text;
  }

  void add(const std::string& key, const std::string& value) {
    const std::lock_guard hold(lock_);
    auto& text = facts_[key];
    text += (text.empty() ? "" : "|") + value;
    if (reported_) client_->ready(facts_).value();
  }

  void report() {
    const std::lock_guard hold(lock_);
    reported_ = true;
    client_->ready(facts_).value();
  }

  arguments args_;
  std::unique_ptr<supervisor_client> client_;
  std::promise<void> stop_;
  std::mutex lock_;
  std::map<std::string, std::string> facts_;
  bool reported_ = false;
};

int run_head(const arguments& args) {
  return head(args).run();
}

// A program with an embedded cluster: says its supervisor's pid, then waits to be killed, or ends by itself.
int embed(const arguments& args) {
  launch_options options;
  options.how = launch_options::mode::embedded;
  options.supervisor = args.at(0);
  options.head = {std::filesystem::read_symlink("/proc/self/exe"), "head", "worker:wait"};
  auto cluster = launch(options).value();
  std::printf("%d %d %s\n", cluster.state().supervisor, cluster.state().head,
              cluster.state().runtime.c_str());
  std::fflush(stdout);
  if (args.size() > 1 && args[1] == "leave") std::exit(0);
  wait_for_ever();
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, std::function<int(const arguments&)>> ways{
      {"wait", wait_here}, {"close-all", close_all}, {"family", family}, {"leave", leave},
      {"crash", crash},    {"inventory", inventory}, {"count", count},   {"print", print},
      {"head", run_head},  {"embed", embed}};
  const auto way = argc > 1 ? ways.find(argv[1]) : ways.end();
  return way == ways.end() ? 100 : way->second(arguments(argv + 2, argv + argc));
}
