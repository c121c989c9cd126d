#include "runtime/process/crash_handler.hpp"

#include "runtime/process/log_capture.hpp"
#include "runtime/process/worker_page.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <pthread.h>
#include <string>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace berth::process {
namespace {

constexpr std::array fatal{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};
constexpr std::size_t stack_bytes = 64 * 1024;

// A handler has no other way to reach what it writes to.
std::atomic<page_writer*> crash_page{nullptr};

void forget_in_child() {
  crash_page.store(nullptr, std::memory_order_release);  // the page is not mapped there
}

void on_fatal(int signal, siginfo_t* facts, void*) {
  if (auto* page = crash_page.load(std::memory_order_acquire))
    page->crashed(signal, facts->si_code, reinterpret_cast<std::uint64_t>(facts->si_addr));
  log_capture::flush_from_handler();
  // The default action is in place again (SA_RESETHAND). The signal is held back until we return, then it is delivered.
  ::syscall(SYS_tgkill, ::getpid(), ::syscall(SYS_gettid), signal);
}

}  // namespace

result<void> install_crash_handler(page_writer& page) {
  static const int registered = ::pthread_atfork(nullptr, nullptr, forget_in_child);
  if (registered != 0) return fail(kind::overloaded, "no_memory", "no fork handler can be had");
  crash_page.store(&page, std::memory_order_release);

  struct sigaction action {};

  action.sa_sigaction = on_fatal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND;
  ::sigfillset(&action.sa_mask);
  for (const int signal : fatal)
    if (::sigaction(signal, &action, nullptr) != 0)
      return fail(kind::failed, "no_handler",
                  std::string("installing a signal handler: ") + std::strerror(errno));
  return {};
}

crash_stack::crash_stack()
    : memory_(
        ::mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
  if (memory_ == MAP_FAILED) {
    memory_ = nullptr;  // a crash is then told on the thread's own stack, where there is room
    return;
  }
  const stack_t stack{memory_, 0, stack_bytes};
  ::sigaltstack(&stack, nullptr);
}

crash_stack::~crash_stack() {
  if (memory_ == nullptr) return;
  const stack_t none{nullptr, SS_DISABLE, 0};
  ::sigaltstack(&none, nullptr);
  ::munmap(memory_, stack_bytes);
}

}  // namespace berth::process
