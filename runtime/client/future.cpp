#include "runtime/client/callbacks.hpp"

#include <berth/future.hpp>
#include <climits>
#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace berth::detail {
namespace {

using clock = std::chrono::steady_clock;

/// Sleeps while `word` holds `seen`, at most until `end` (FUTEX_WAIT_BITSET takes CLOCK_MONOTONIC absolutely).
void sleep_on(std::atomic<std::uint32_t>& word, std::uint32_t seen, clock::time_point end) {
  timespec until{};
  const timespec* limit = nullptr;
  if (end != clock::time_point::max()) {
    const auto since = std::chrono::duration_cast<std::chrono::nanoseconds>(end.time_since_epoch());
    until.tv_sec = static_cast<std::time_t>(since.count() / 1000000000);
    until.tv_nsec = static_cast<long>(since.count() % 1000000000);
    limit = &until;
  }
  ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, seen, limit, nullptr,
            FUTEX_BITSET_MATCH_ANY);
}

}  // namespace

bool pending::wait_until(clock::time_point end) {
  if (done()) return true;
  const client::lent_place place;
  return wait_here(end);
}

bool pending::wait_here(clock::time_point end) {
  return sleep_until(end);
}

bool pending::sleep_until(clock::time_point end) {
  for (;;) {
    std::uint32_t seen = state_.fetch_or(sleeper_bit, std::memory_order_acq_rel) | sleeper_bit;
    if ((seen & done_bit) != 0) return true;
    if (end != clock::time_point::max() && clock::now() >= end) return false;
    sleep_on(state_, seen, end);
  }
}

void pending::on_done(void (*run)(void*), void* argument) {
  run_ = run;
  argument_ = argument;
  const auto before = state_.fetch_or(continuation_bit, std::memory_order_acq_rel);
  if ((before & done_bit) != 0) client::callbacks::of_process().post(run, argument);
}

void pending::complete() {
  const auto before = state_.fetch_or(done_bit, std::memory_order_acq_rel);
  if ((before & sleeper_bit) != 0)
    ::syscall(SYS_futex, &state_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
  if ((before & continuation_bit) != 0) client::callbacks::of_process().post(run_, argument_);
}

bool pending::complete_and_let_go() {
  auto before = state_.load(std::memory_order_relaxed);
  while ((before & (sleeper_bit | continuation_bit)) == 0) {
    const auto after = (before | done_bit) - ref_one;
    if (state_.compare_exchange_weak(before, after, std::memory_order_acq_rel,
                                     std::memory_order_relaxed))
      return after < ref_one;
  }
  complete();
  return state_.fetch_sub(ref_one, std::memory_order_acq_rel) / ref_one == 1;
}

void pending::reset() noexcept {
  state_.store(ref_one, std::memory_order_relaxed);
  run_ = nullptr;
  argument_ = nullptr;
}

}  // namespace berth::detail
