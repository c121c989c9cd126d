#pragma once
// Inside of the calling end: the reader role and the call table, shared by `link` and `driver`.
//
// The reader role is a token. Whoever waits and takes it drives the link: reads frames, completes slots (its own and
// others'), sleeps when nothing comes. A waiter that finds it taken spins a little and parks; the leaving driver wakes
// one parked waiter to lead on, or leaves the link to the callback thread when calls nobody waits for are under way.

#include "runtime/base/waiter.hpp"
#include "runtime/net/call_table.hpp"
#include "runtime/net/channel.hpp"
#include "runtime/net/link.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace berth::net {

/// What the callback thread does about a link.
enum class watching : std::uint32_t {
  idle,     ///< it only waits for the connection's end
  ticking,  ///< others drive it now and then; it looks once a millisecond
  armed,    ///< it drives the link, or sleeps until the peer rings
};

/// Calls under way that nobody may be waiting for. Each count has one writer at a time, so that a warm call counts
/// without locked instructions.
class async_tally {
 public:
  // By the holder of the send lock.
  void begun() noexcept { begun_.add(1); }

  // By the reader.
  void ended() noexcept { ended_.add(1); }

  // By any thread.
  void let_go() noexcept { let_go_.fetch_add(1, std::memory_order_relaxed); }

  [[nodiscard]] bool any() const noexcept {
    return begun_.get() != ended_.get() + let_go_.load(std::memory_order_relaxed);
  }

 private:
  tally begun_;
  std::atomic<std::uint64_t> let_go_{0};
  alignas(64) tally ended_;
};

/// The spinning habits of this thread.
[[nodiscard]] base::waiter& waiter_of_thread();

struct link::state {
  state(link& whole,
        std::shared_ptr<channel> over,
        peer_facts facts,
        std::uint32_t credits,
        options how)
      : self(whole), through(std::move(over)), peer(std::move(facts)), calls(credits), how_(how) {}

  // --- the reader role
  [[nodiscard]] bool try_lead() noexcept {
    std::uint32_t free = 0;
    return reader.load(std::memory_order_relaxed) == 0
           && reader.compare_exchange_strong(free, 1, std::memory_order_acquire);
  }

  void step_down() noexcept;
  /// Gives the role back without telling the callback thread (it is the one who leaves).
  void step_down_quietly() noexcept;
  /// Waits until `until()`, leading or following. False: the deadline passed first.
  template <class Until>
  bool run(pending& slot, base::time_point deadline, Until&& until);

  // --- by the leader
  /// Reads up to 64 frames; returns whether there was one.
  bool drain();
  void lose_all();
  void poke_starving() noexcept;

  // --- completion
  void complete(pending& slot, completion how) noexcept;
  void wake_who_was_not_woken() noexcept;
  void on_frame(arrival& what);
  void on_final(arrival& what);
  void on_event(arrival& what);
  void notice_async() noexcept;
  void bump(pending& slot) noexcept;

  // --- by callers
  template <class Can>
  bool starve(base::time_point until, Can&& can);
  bool wait_for_credit_and_room(std::size_t body, base::time_point until);
  bool wait_for_room(std::size_t body, base::time_point until);
  bool enter(reservation& open, pending& slot) noexcept;
  void undo(std::uint64_t id) noexcept;
  void give_up(pending& slot, completion how, leave what);

  link& self;
  const std::shared_ptr<channel> through;
  const peer_facts peer;
  call_table calls;
  const options how_;

  alignas(64) std::atomic<std::uint32_t> reader{0};
  tally sync_drives;  // times a waiting caller led
  tally spin_hits;
  tally spin_misses;
  alignas(64) std::atomic<std::uint32_t> parked{0};
  std::atomic<std::uint32_t> contenders{0};  // callers that would rather lead
  std::atomic<std::uint32_t> starving{0};    // callers that wait for a credit or for room
  std::atomic<watching> watch{watching::idle};
  const pending* own = nullptr;  // the leader's slot, when only the leader can end it
  bool ended_quietly = false;    // by the leader: completed slots whose waiters it did not look for
  bool told_closed = false;      // by the leader
  std::mutex parked_mutex;
  pending* parked_first = nullptr;
  async_tally async_calls;  // with `call_events`

  // The callback thread's own notes.
  std::uint64_t drives_seen = 0;
  int idle_ticks = 0;
  bool held = false;        // it has the reader role
  bool stirred = false;     // something happened on the link's descriptors
  bool hears_bell = false;  // its sleep ends with the link's bell
  bool known = false;       // guarded by the driver's mutex

 private:
  template <class Until>
  void drive(pending& slot, base::time_point deadline, Until&& until);
  void disarm_watch() noexcept;
  template <class Until>
  void follow(pending& slot, base::time_point deadline, Until&& until);
  void park(pending& slot) noexcept;
  void unpark(pending& slot) noexcept;
  void wake_one_parked() noexcept;
};

}  // namespace berth::net
