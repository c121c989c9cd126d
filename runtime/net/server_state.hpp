#pragma once
// Inside of the serving end: two threads that take turns at polling, and what they poll.

#include "runtime/base/waiter.hpp"
#include "runtime/net/channel.hpp"
#include "runtime/net/endpoint.hpp"
#include "runtime/net/greeting.hpp"
#include "runtime/net/server.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

namespace berth::net {

struct served_link::state {
  std::shared_ptr<channel> through;
  peer_facts peer;
  std::uint64_t id = 0;
  // by the polling thread
  std::uint64_t last_frame_ticks = 0;
  bool had_frames = false;  // since the hot links were chosen
  bool wants_writable = false;
};

/// Which of the two threads polls, and whether it is inside a handler just now. One word, so that the spare can take the
/// turn from a thread that does not come back, and that thread notices when it does.
class turn {
 public:
  struct mark {
    std::uint64_t word;
  };

  [[nodiscard]] bool is_of(unsigned thread) const noexcept {
    return (word_.load(std::memory_order_acquire) & who_bit) == thread;
  }

  /// The polling thread goes into a handler.
  [[nodiscard]] mark enter() noexcept {
    const auto now = word_.load(std::memory_order_relaxed) + one + inside_bit;
    word_.store(now, std::memory_order_release);
    return {now};
  }

  /// … and is back. False: the turn was taken meanwhile.
  [[nodiscard]] bool leave(mark entered) noexcept {
    auto expected = entered.word;
    return word_.compare_exchange_strong(expected, entered.word - inside_bit,
                                         std::memory_order_acq_rel);
  }

  [[nodiscard]] std::uint64_t look() const noexcept {
    return word_.load(std::memory_order_relaxed);
  }

  [[nodiscard]] static bool inside(std::uint64_t seen) noexcept { return (seen & inside_bit) != 0; }

  /// The spare takes the turn of a thread that is inside the same handler call it was in when `seen` was looked at.
  [[nodiscard]] bool take(std::uint64_t seen) noexcept {
    return word_.compare_exchange_strong(seen, ((seen - inside_bit) + one) ^ who_bit,
                                         std::memory_order_acq_rel);
  }

 private:
  static constexpr std::uint64_t who_bit = 1;
  static constexpr std::uint64_t inside_bit = 2;
  static constexpr std::uint64_t one = 4;
  std::atomic<std::uint64_t> word_{0};
};

struct server::state {
  state(handler& what, options terms_of_service, base::unique_fd polls, base::unique_fd bell);

  void run(unsigned thread);
  void adopt(accepted socket);
  void post(std::function<void()> job);
  void stop();
  [[nodiscard]] std::vector<std::shared_ptr<served_link>> all_links() const;
  /// Makes the polling thread look at everything soon.
  void wake() noexcept;

 private:
  using link_ptr = std::shared_ptr<served_link>;
  enum class kept : std::uint8_t {
    turn,
    nothing
  };  // after a handler: still the polling thread, or not

  // the polling thread
  void poll(unsigned thread);
  [[nodiscard]] kept turn_once();
  [[nodiscard]] kept scan(const std::vector<link_ptr>& which, bool& progress);
  [[nodiscard]] kept serve(const link_ptr& from);
  [[nodiscard]] kept dispatch(served_link& from, arrival& what);
  [[nodiscard]] kept hand_on(served_link& from, const message_view& what);
  [[nodiscard]] bool refuse_arriving(served_link& from, std::uint64_t call);
  template <class Act>
  [[nodiscard]] kept guarded(served_link* about, Act&& act);
  [[nodiscard]] kept open_link(std::unique_ptr<lane> over, const peer_facts& peer);
  [[nodiscard]] kept close_link(link_ptr which);
  [[nodiscard]] kept close_ended();
  [[nodiscard]] kept run_posted();
  [[nodiscard]] kept sleep();
  [[nodiscard]] kept greet(std::uint64_t id);
  [[nodiscard]] bool arm_all();
  void note_event(std::uint64_t mark, bool readable);
  void end_greeting(std::uint64_t id);
  void end_late_greetings();
  [[nodiscard]] int sleep_limit_ms() const;
  void admit(accepted socket);
  void choose_hot();
  void listen_for_room(served_link& which);
  void tell_cpu();
  [[nodiscard]] bool spin();
  void count_rescues();
  void list_links();
  void end_all();

  // the spare
  void stand_by(unsigned thread);
  void park_spare();

  handler& does_;
  const options how_;
  const terms terms_;
  base::unique_fd polls_;  // epoll
  base::unique_fd bell_;
  turn turn_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> stopped_{false};
  std::atomic<bool> asleep_{false};
  std::atomic<bool> has_posted_{false};
  std::atomic<bool> absent_{false};  // the thread that lost the turn is not back yet

  // the polling thread's
  std::vector<link_ptr> links_;
  std::vector<link_ptr> hot_;
  std::vector<link_ptr> graveyard_;  // closed, but a thread may still be inside a handler for one
  std::vector<std::uint64_t> greeted_;            // greetings with something to read
  std::array<std::vector<std::byte>, 2> bodies_;  // per thread: the body being looked at
  unsigned poller_ = 0;
  std::uint64_t turns_ = 0;
  std::unordered_map<std::uint64_t, std::unique_ptr<greeting>> greetings_;
  base::waiter habits_;
  std::uint64_t last_id_ = 0;
  std::uint64_t us_;  // ticks in one microsecond
  std::uint32_t told_cpu_ = base::no_cpu;
  served_link* last_active_ = nullptr;

  std::atomic<std::uint32_t> spare_word_{0};  // ticks, and stop, wake the spare
  std::atomic<bool> spare_parked_{false};

  mutable std::mutex mutex_;  // guards what follows
  std::vector<std::function<void()>> posted_;
  std::vector<accepted> arriving_;  // sockets to greet
  std::vector<link_ptr> listed_;    // the same links, for others to read

  std::mutex stop_mutex_;
  std::vector<std::thread> threads_;
};

// Runs `act` in such a way that the spare can take the turn when it lasts.
template <class Act>
server::state::kept server::state::guarded(served_link* about, Act&& act) {
  const auto entered = turn_.enter();
  act();
  if (turn_.leave(entered)) [[likely]]
    return kept::turn;
  if (about != nullptr) about->self_->through->flush();  // nobody else may know of its batch
  return kept::nothing;
}

}  // namespace berth::net
