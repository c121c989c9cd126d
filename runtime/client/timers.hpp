#pragma once
// Timers: deadlines of calls that nobody waits for.

#include "runtime/base/clock.hpp"

#include <berth/future.hpp>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

namespace berth::client {

/// Something that has a deadline. `expire` runs on the timer's thread: it must be quick. It returns when it wants to be
/// called again, or `base::never`.
class expiring {
 public:
  virtual base::time_point expire() noexcept = 0;

 protected:
  ~expiring() = default;
};

/// A resource, one a process; its thread starts with the first deadline. Threads: any.
class timers {
 public:
  static timers& of_process();

  /// Calls `what.expire()` at `when` unless it is taken back before.
  std::uint64_t add(base::time_point when, expiring& what);
  /// On return `expire` will not be called, or has returned.
  void take_back(std::uint64_t id);

 private:
  void serve();
  void erase(std::uint64_t id);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<base::time_point, std::pair<std::uint64_t, expiring*>> due_;
  std::uint64_t ids_ = 0;
  std::uint64_t expiring_now_ = 0;
  bool started_ = false;
};

}  // namespace berth::client
