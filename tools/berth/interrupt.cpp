#include "tools/berth/interrupt.hpp"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <sys/eventfd.h>
#include <unistd.h>

namespace berth::tools {
namespace {

std::atomic<bool> came{false};
int bell = -1;

void on_signal(int number) {
  const int kept = errno;
  if (came.exchange(true)) ::_exit(128 + number);
  const unsigned long long one = 1;
  (void)!::write(bell, &one, sizeof one);
  errno = kept;
}

}  // namespace

void catch_interrupts() {
  bell = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

  struct sigaction action {};

  action.sa_handler = on_signal;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() noexcept {
  return came.load(std::memory_order_relaxed);
}

int interrupt_descriptor() noexcept {
  return bell;
}

}  // namespace berth::tools
