#pragma once
// Callbacks: the threads on which continuations run, where user code may block.
//
// A thread that reads links never runs user code: it would hold up every other call's answer. Continuations queue
// here instead. A callback that waits for another future lends its place: a further thread takes over the queue.

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>

namespace berth::client {

/// A resource, one a process. Threads start when there is work and end after a second without any.
class callbacks {
 public:
  /// The process's queue; made on first use, never destroyed (callbacks may run while statics end).
  static callbacks& of_process();

  /// Queues `run(argument)`. Threads: any. Cost: a lock and, with nobody idle, a wake-up or a thread start.
  void post(void (*run)(void*), void* argument);

  /// Called by a thread about to wait: if it is a callback thread, another one serves the queue until `back`.
  void leave();
  void back();

 private:
  struct item {
    void (*run)(void*);
    void* argument;
  };

  void serve();
  void ensure_server();

  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<item> queue_;
  std::size_t serving_ = 0;  ///< threads that serve the queue and do not wait for a future
  std::size_t idle_ = 0;
};

/// Marks a wait of the calling thread.
class lent_place {
 public:
  lent_place() { callbacks::of_process().leave(); }

  ~lent_place() { callbacks::of_process().back(); }

  lent_place(const lent_place&) = delete;
  lent_place& operator=(const lent_place&) = delete;
};

}  // namespace berth::client
