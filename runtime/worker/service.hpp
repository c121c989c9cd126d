#pragma once
// Service: the serving side of a call: who may start, on which thread it runs, what stops it, and what is counted.
//
// A call of a plain function runs on the thread that read its frame, so a short one costs no hand-off. Streams, calls
// that find every place taken, and calls of functions that took long before wait in a queue for an executing thread.
// Credits bound that queue. Each start passes the flip gate and is written into the ledger first.

#include "runtime/base/clock.hpp"
#include "runtime/net/server.hpp"
#include "runtime/process/log_capture.hpp"
#include "runtime/process/worker_page.hpp"
#include "runtime/worker/answer.hpp"
#include "runtime/worker/binding.hpp"
#include "runtime/worker/replica.hpp"
#include "runtime/worker/running_call.hpp"

#include <array>
#include <atomic>
#include <berth/error.hpp>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace berth::worker {

/// A resource; the handler of a worker's server. It must outlive the server.
class service final : public net::handler {
 public:
  /// `page` and `serves` must outlive the service; `page` has a thread for each call that may run at once.
  service(const replica& serves, process::page_writer& page);
  ~service() override;

  /// From here on output of user code comes here: give `log_hook()` to the capture, and the capture to this.
  void capture_with(process::log_capture* capture) noexcept { capture_.store(capture); }

  [[nodiscard]] process::log_hook log_hook();

  /// Calls that run or wait in the queue.
  [[nodiscard]] std::uint32_t busy() const noexcept;
  /// Waits until nothing runs or waits, at most until `end`; false when something still does.
  bool wait_idle(base::time_point end);

  /// `tell` hears the number of open links whenever it changes, on the server's polling thread. Before the server starts.
  void tell_links(std::function<void(std::uint32_t)> tell) { tell_links_ = std::move(tell); }

  /// Links open now.
  [[nodiscard]] std::uint32_t links() const noexcept { return links_open_.load(); }

  /// Ends the executing threads; after the server was stopped.
  void stop();

  void on_open(net::served_link& from) override;
  void on_call(net::served_link& from, const net::message_view& what) override;
  void on_request(net::served_link& from, const net::message_view& what) override;
  void on_cancel(net::served_link& from, std::uint64_t call) override;
  void on_item(net::served_link& from, const net::message_view& what) override;
  void on_end(net::served_link& from, std::uint64_t call) override;
  void on_credit(net::served_link& from, std::uint64_t call, std::uint32_t n) override;
  void on_closed(net::served_link& from, const error_info& why) override;
  void run_queued() override;
  void on_tick() override;

 private:
  /// One call that may run at once: its thread index in the worker page, and what may stop it.
  struct place {
    std::uint32_t index = 0;
    stop_flag stop;
    std::atomic<std::uint64_t> link{0};
    std::atomic<std::uint64_t> call{0};
    std::atomic<std::int64_t> deadline{0};  ///< steady clock, nanoseconds; 0: none
    std::uint64_t number = 0;               ///< of the call that has it, for `stop`

    /// From here on a cancel finds the call here. The place is the caller's.
    void take_in(std::uint64_t link_id, std::uint64_t call_id, base::time_point until) noexcept;
  };

  /// A call that waits for a place.
  struct waiting {
    std::shared_ptr<net::served_link> from;
    std::shared_ptr<link_state> state;
    const binding* with = nullptr;
    net::message what;
    base::time_point deadline = base::never;
    std::shared_ptr<item_flow> flow;
  };

  /// One call about to run.
  struct start {
    net::served_link& from;
    link_state& state;
    const binding& with;
    const net::frame_header& header;
    const berth_view& arguments;
    base::time_point deadline;
    item_flow* flow;
    net::reservation::when publish;
  };

  place* take_place() noexcept;
  [[nodiscard]] std::uint32_t places_taken() const noexcept;
  [[nodiscard]] bool runs_inline(const method& what) const noexcept;
  void give_back(place* one) noexcept;
  void enqueue(net::served_link& from, const binding& with, const net::message_view& what);
  bool next(waiting& call, place*& at);
  void run_waiting(place& at, waiting& call);
  void execute();
  void run(place& at, const start& call);
  void run_started(const start& call, answer& to);
  void run_body(const start& call, answer& to, const berth_view& arguments);
  void run_code(const start& call, answer& to, const berth_call& given);
  void run_function(const start& call, answer& to, const berth_call& given);
  void run_stream(const start& call, answer& to, const berth_call& given);
  bool stop_call(std::uint64_t link, std::uint64_t call) noexcept;
  void stop_flow(std::uint64_t link, std::uint64_t call);
  void expire_waiting(base::time_point now);

  const replica& serves_;
  const std::string label_;
  process::page_writer& page_;
  std::atomic<process::log_capture*> capture_{nullptr};

  std::vector<std::unique_ptr<place>> places_;
  std::array<std::atomic<std::uint64_t>, 4> free_places_{};  // a bit a place
  std::vector<std::atomic<bool>> slow_;  // by method: its last call took longer than a hand-off
  std::atomic<std::uint32_t> waiting_count_{0};
  std::atomic<std::uint32_t> links_open_{0};
  std::function<void(std::uint32_t)> tell_links_;
  std::atomic<bool> somebody_awaits_idle_{false};

  mutable std::mutex mutex_;  // queue, threads, links
  std::condition_variable work_;
  std::condition_variable idle_;
  std::deque<waiting> queue_;
  std::vector<std::thread> threads_;
  std::map<std::uint64_t, std::shared_ptr<net::served_link>> links_;
  bool stopping_ = false;
};

}  // namespace berth::worker
