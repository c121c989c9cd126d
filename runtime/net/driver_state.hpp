#pragma once
// Inside of the callback thread: two threads, so that a posted job may block. One drives links, one runs jobs.

#include "runtime/base/unique_fd.hpp"
#include "runtime/net/link_state.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace berth::net {

struct driver::state {
  state(base::unique_fd polls, base::unique_fd bell);
  ~state();

  // --- by links, from any thread
  /// From now on the drive thread notices the connection's end.
  void know(link::state& which);
  /// The link has calls under way that nobody waits for, or is about to.
  void notice(link::state& which) noexcept;
  /// On return the drive thread knows the link no more.
  void forget(link::state& which);

  void post(job& what) noexcept;

  std::thread jobs_thread;

 private:
  using link_list = std::vector<link::state*>;
  void drive_all();
  void take_news(link_list& links);
  bool serve(link::state& one, bool tick);
  bool take_over(link::state& one, bool tick);
  void hand_back(link::state& one);
  void rest(link::state& one);
  bool spin(const link_list& links);
  void sleep(const link_list& links);
  int arm_held(const link_list& links);
  void check_seat_belt(const link_list& links);
  void hear_bell(link::state& one, bool yes) noexcept;
  void run_jobs();
  void wake() noexcept;

  base::unique_fd polls_;  // epoll
  base::unique_fd bell_;
  std::atomic<bool> stopping_{false};

  std::mutex news_mutex_;
  std::condition_variable news_taken_;
  link_list joining_;
  link_list leaving_;

  std::atomic<job*> posted_{nullptr};  // newest first
  std::atomic<std::uint32_t> jobs_word_{0};

  std::thread drive_thread_;
};

}  // namespace berth::net
