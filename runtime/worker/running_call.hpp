#pragma once
// Running call: what the thread that runs a call knows of it; the facts behind `berth::here()`.

#include "runtime/base/clock.hpp"

#include <atomic>
#include <berth/here.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace berth::worker {

/// Takes what a running function reports; a link to its caller, or nobody.
class call_reports {
 public:
  virtual ~call_reports() = default;
  virtual void progress(double fraction, std::string_view message) noexcept = 0;
  virtual void metric(std::string_view name, double value) noexcept = 0;
};

/// Who called, with the texts that a `caller_info` points to. One a link.
struct caller_facts {
  std::uint32_t uid = 0;
  std::int64_t pid = 0;
  std::string program;
  std::string version;
};

/// The stop flag of one executing thread. A call is stopped by its number, so that a late stop never hits the next one.
class stop_flag {
 public:
  /// Starts a new call on this thread; returns its number.
  std::uint64_t next() noexcept {
    const auto number = running_.load(std::memory_order_relaxed) + 1;
    running_.store(number, std::memory_order_release);
    return number;
  }

  [[nodiscard]] std::uint64_t running() const noexcept {
    return running_.load(std::memory_order_acquire);
  }

  /// Asks call `number` to stop, if it is the one that runs.
  void stop(std::uint64_t number) noexcept { stopped_.store(number, std::memory_order_release); }

  [[nodiscard]] bool stopped(std::uint64_t number) const noexcept {
    return stopped_.load(std::memory_order_acquire) == number;
  }

 private:
  std::atomic<std::uint64_t> running_{0};
  std::atomic<std::uint64_t> stopped_{0};
};

}  // namespace berth::worker

namespace berth::detail {

/// Lives on the executing thread's stack while the call runs.
struct running_call {
  const worker::caller_facts* caller = nullptr;
  std::string_view version;  ///< "name@7"
  std::uint64_t id = 0;
  base::time_point deadline = base::never;
  const worker::stop_flag* stop = nullptr;
  std::uint64_t number = 0;  ///< of the stop flag
  worker::call_reports* reports = nullptr;
};

/// Makes `call` the one that `here()` tells of on this thread; null: none. Returns the one before.
const running_call* set_running(const running_call* call) noexcept;

}  // namespace berth::detail
