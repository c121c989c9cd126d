#include "runtime/base/fork.hpp"
#include "runtime/base/futex.hpp"
#include "runtime/net/driver_state.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <utility>

namespace berth::net {
namespace {

constexpr int tick_ms = 1;
constexpr int seat_belt_ms = 1000;
constexpr int idle_ticks_max = 20;  // then the thread forgets the link and sleeps

}  // namespace

driver::state::state(base::unique_fd polls, base::unique_fd bell)
    : polls_(std::move(polls)), bell_(std::move(bell)) {
  epoll_event own{};
  own.events = EPOLLIN;
  ::epoll_ctl(polls_.get(), EPOLL_CTL_ADD, bell_.get(), &own);
  drive_thread_ = std::thread([this] { drive_all(); });
  jobs_thread = std::thread([this] { run_jobs(); });
}

driver::state::~state() {
  stopping_.store(true, std::memory_order_seq_cst);
  wake();
  jobs_word_.fetch_add(1, std::memory_order_seq_cst);
  base::futex_wake(jobs_word_, 1);
  drive_thread_.join();
  jobs_thread.join();
}

void driver::state::wake() noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(bell_.get(), &one, sizeof one));
}

void driver::state::know(link::state& which) {
  const std::lock_guard lock(news_mutex_);
  which.known = true;
  joining_.push_back(&which);
  wake();
}

void driver::state::notice(link::state& which) noexcept {
  const std::lock_guard lock(news_mutex_);
  if (which.watch.exchange(watching::ticking, std::memory_order_seq_cst) != watching::ticking)
    wake();
}

void driver::state::forget(link::state& which) {
  std::unique_lock lock(news_mutex_);
  leaving_.push_back(&which);
  wake();
  news_taken_.wait(lock, [&] { return !which.known; });
}

void driver::state::take_news(link_list& links) {
  const std::lock_guard lock(news_mutex_);
  for (auto* one : joining_) {
    epoll_event end{};
    end.events = EPOLLRDHUP | EPOLLET;
    end.data.ptr = one;
    ::epoll_ctl(polls_.get(), EPOLL_CTL_ADD, one->through->over().socket(), &end);
    end.events = EPOLLET;
    ::epoll_ctl(polls_.get(), EPOLL_CTL_ADD, one->through->over().bell(), &end);
    links.push_back(one);
  }
  joining_.clear();
  for (auto* one : leaving_) {
    std::erase(links, one);
    ::epoll_ctl(polls_.get(), EPOLL_CTL_DEL, one->through->over().bell(), nullptr);
    ::epoll_ctl(polls_.get(), EPOLL_CTL_DEL, one->through->over().socket(), nullptr);
    if (std::exchange(one->held, false)) one->step_down_quietly();
    one->known = false;
  }
  if (!std::exchange(leaving_, {}).empty()) news_taken_.notify_all();
}

// Edge-triggered: who reads the bell is the leader, and that may be somebody else.
void driver::state::hear_bell(link::state& one, bool yes) noexcept {
  if (one.hears_bell == yes) return;
  one.hears_bell = yes;
  epoll_event how{};
  how.data.ptr = &one;
  how.events = yes ? EPOLLIN | EPOLLET : EPOLLET;
  ::epoll_ctl(polls_.get(), EPOLL_CTL_MOD, one.through->over().bell(), &how);
  how.events |= EPOLLRDHUP | (yes ? EPOLLOUT : 0U);
  ::epoll_ctl(polls_.get(), EPOLL_CTL_MOD, one.through->over().socket(), &how);
}

void driver::state::drive_all() {
  link_list links;
  auto last_tick = base::steady::now();
  while (!stopping_.load(std::memory_order_acquire)) {
    take_news(links);
    const auto now = base::steady::now();
    const bool tick = now - last_tick >= std::chrono::milliseconds(tick_ms);
    if (tick) last_tick = now;
    bool progress = false;
    for (auto* one : links)
      progress = serve(*one, tick) || progress;
    if (!progress && !spin(links)) sleep(links);
  }
}

// Returns whether frames were read.
bool driver::state::serve(link::state& one, bool tick) {
  const bool stirred = std::exchange(one.stirred, false);
  const auto now = one.watch.load(std::memory_order_relaxed);
  if (now == watching::idle && !stirred) return false;
  if (!one.held && !take_over(one, tick || stirred)) {
    // What stirred may be the connection's end, and edges come once: look again when nobody else drives.
    if (stirred) one.watch.store(watching::ticking, std::memory_order_seq_cst);
    return false;
  }
  const bool progress = one.drain();
  if (one.through->ended()) {
    one.lose_all();
    rest(one);
    return false;
  }
  one.through->flush();
  if (!one.async_calls.any()) {
    if (!progress && now == watching::idle) rest(one);
  } else {
    one.idle_ticks = 0;
  }
  if (one.held && one.contenders.load(std::memory_order_seq_cst) != 0) hand_back(one);
  return progress;
}

// While waiting callers drive a link they do this thread's work without a hand-over: it only takes over what nobody has
// driven for a tick.
bool driver::state::take_over(link::state& one, bool tick) {
  const auto drives = one.sync_drives.get();
  const bool others_drive = drives != one.drives_seen;
  if (tick) {
    one.drives_seen = drives;
    one.through->flush();
    if (!one.async_calls.any() && ++one.idle_ticks > idle_ticks_max) {
      rest(one);
      return false;
    }
  }
  if (others_drive || !one.try_lead()) {
    one.through->allow_batches(true);
    hear_bell(one, false);
    return false;
  }
  one.held = true;
  one.through->awake();
  one.through->over().tell_cpu();
  one.through->after_sleep(true, true);
  return true;
}

void driver::state::hand_back(link::state& one) {
  one.watch.store(watching::ticking, std::memory_order_seq_cst);
  one.through->allow_batches(true);
  hear_bell(one, false);
  one.held = false;
  one.step_down_quietly();
}

// Nothing to drive: only the connection's end matters. A call begins under the send lock, which `allow_batches(false)`
// takes and gives back: either it began before and is seen here, or it sees `idle` and gives notice.
void driver::state::rest(link::state& one) {
  one.idle_ticks = 0;
  hear_bell(one, false);
  if (std::exchange(one.held, false)) one.step_down_quietly();
  one.watch.store(watching::idle, std::memory_order_seq_cst);
  one.through->allow_batches(false);
  if (one.async_calls.any() && !one.through->ended())
    one.watch.store(watching::ticking, std::memory_order_seq_cst);
}

bool driver::state::spin(const link_list& links) {
  bool rang = false;
  bool any = false;
  std::uint32_t cpu = base::no_cpu;
  for (auto* one : links) {
    if (!one->held || !one->async_calls.any()) continue;
    any = true;
    rang = rang || one->through->rang();
    cpu = one->through->over().peer_cpu();
  }
  if (!any) return false;
  return waiter_of_thread().spin(
      [&] {
        for (auto* one : links)
          if (one->held
              && (one->through->ready() || one->contenders.load(std::memory_order_relaxed) != 0))
            return true;
        return false;
      },
      rang, cpu);
}

void driver::state::sleep(const link_list& links) {
  const int limit_ms = arm_held(links);
  std::array<epoll_event, 16> events{};
  const int awake = ::epoll_wait(polls_.get(), events.data(), events.size(), limit_ms);
  for (int i = 0; i < awake; ++i) {
    if (auto* one = static_cast<link::state*>(events[static_cast<std::size_t>(i)].data.ptr)) {
      one->stirred = true;
      continue;
    }
    std::uint64_t count;
    static_cast<void>(!::read(bell_.get(), &count, sizeof count));
  }
  if (awake == 0 && limit_ms == seat_belt_ms) check_seat_belt(links);
}

// Sleeps without the reader role: a caller that comes to wait takes it and needs no hand-over. Returns how long to sleep.
int driver::state::arm_held(const link_list& links) {
  int limit_ms = seat_belt_ms;
  for (auto* one : links) {
    if (one->held) {
      hear_bell(*one, true);
      one->watch.store(watching::armed, std::memory_order_seq_cst);
      one->through->allow_batches(false);
      if (one->through->arm() || one->through->ready() || one->through->ended())
        limit_ms = 0;
      else
        one->through->count_sleep();
    } else if (one->watch.load(std::memory_order_seq_cst) == watching::ticking) {
      limit_ms = std::min(limit_ms, tick_ms);
    }
  }
  for (auto* one : links)
    if (std::exchange(one->held, false)) one->step_down_quietly();
  return limit_ms;
}

void driver::state::check_seat_belt(const link_list& links) {
  for (auto* one : links) {
    if (one->watch.load(std::memory_order_seq_cst) != watching::armed || !one->try_lead()) continue;
    if (one->through->ready() && !one->through->ended()) one->through->count_rescue();
    if (!one->async_calls.any()) rest(*one);
    one->step_down_quietly();
  }
}

void driver::state::post(job& what) noexcept {
  job* head = posted_.load(std::memory_order_relaxed);
  do
    what.next_ = head;
  while (!posted_.compare_exchange_weak(head, &what, std::memory_order_seq_cst));
  if (head != nullptr) return;  // whoever found it empty wakes the thread
  jobs_word_.fetch_add(1, std::memory_order_seq_cst);
  base::futex_wake(jobs_word_, 1);
}

void driver::state::run_jobs() {
  for (;;) {
    const auto word = jobs_word_.load(std::memory_order_seq_cst);
    job* newest = posted_.exchange(nullptr, std::memory_order_seq_cst);
    if (newest == nullptr) {
      if (stopping_.load(std::memory_order_seq_cst)) return;
      base::futex_wait(jobs_word_, word, base::never);
      continue;
    }
    job* oldest = nullptr;
    while (newest != nullptr) {
      job* next = newest->next_;
      newest->next_ = oldest;
      oldest = newest;
      newest = next;
    }
    while (oldest != nullptr) {
      job* next = oldest->next_;
      oldest->run();
      oldest = next;
    }
  }
}

result<std::unique_ptr<driver>> driver::start() {
  base::unique_fd polls(::epoll_create1(EPOLL_CLOEXEC));
  base::unique_fd bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!polls || !bell)
    return fail(kind::overloaded, "out_of_descriptors",
                "no descriptors left for the callback thread: raise the limit of open files");
  return std::unique_ptr<driver>(
      new driver(std::make_unique<state>(std::move(polls), std::move(bell))));
}

driver::driver(std::unique_ptr<state> self)
    : self_(std::move(self)), fork_generation_(base::fork_generation()) {
  base::watch_forks();
}

driver::~driver() {
  // After fork() the threads are the parent's.
  if (fork_generation_ != base::fork_generation()) static_cast<void>(self_.release());
}

void driver::post(job& what) noexcept {
  self_->post(what);
}

bool driver::runs_here() const noexcept {
  return std::this_thread::get_id() == self_->jobs_thread.get_id();
}

}  // namespace berth::net
