// The two threads of a server: whose turn it is, sleeping, and what is posted to them. What they do with frames is in
// server_links.cpp.

#include "runtime/net/server.hpp"

#include "runtime/base/fork.hpp"
#include "runtime/base/futex.hpp"
#include "runtime/net/server_poll.hpp"
#include "runtime/net/server_state.hpp"

#include <algorithm>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

namespace berth::net {
namespace {

constexpr std::chrono::milliseconds tick{1};
constexpr int quiet_ticks_max = 10;  // then the spare sleeps until the polling thread wakes
constexpr int seat_belt_ms = 1000;
constexpr unsigned full_scan_every = 64;  // docs/protocol.md, "Ring lane": many links

}  // namespace

server::state::state(handler& what,
                     options terms_of_service,
                     base::unique_fd polls,
                     base::unique_fd bell)
    : does_(what),
      how_(std::move(terms_of_service)),
      terms_{how_.program, how_.credits, how_.offers_ring},
      polls_(std::move(polls)),
      bell_(std::move(bell)),
      us_(base::ticks_per_us()) {
  epoll_event own{};
  own.events = EPOLLIN;
  own.data.u64 = mark_of(0, source::server_bell);
  ::epoll_ctl(polls_.get(), EPOLL_CTL_ADD, bell_.get(), &own);
  for (unsigned thread = 0; thread < 2; ++thread)
    threads_.emplace_back([this, thread] { run(thread); });
}

void server::state::run(unsigned thread) {
  while (!stopped_.load(std::memory_order_acquire)) {
    if (turn_.is_of(thread))
      poll(thread);
    else
      stand_by(thread);
  }
}

// ---------------------------------------------------------------------------------------- the polling thread

void server::state::poll(unsigned thread) {
  poller_ = thread;
  told_cpu_ = base::no_cpu;
  for (const auto& one : links_)
    one->self_->through->flush();
  for (;;) {
    if (turn_once() == kept::turn) {
      if (!stopping_.load(std::memory_order_acquire)) continue;
      end_all();
      stopped_.store(true, std::memory_order_release);
      spare_word_.fetch_add(1, std::memory_order_seq_cst);
      base::futex_wake(spare_word_, 1);
      return;
    }
    // The turn was taken while this thread was inside a handler; it touches nothing of the polling any more.
    does_.run_queued();
    absent_.store(false, std::memory_order_release);
    return;
  }
}

server::state::kept server::state::turn_once() {
  ++turns_;
  const bool everything = turns_ % full_scan_every == 0;
  if (everything) {
    choose_hot();
    if (!absent_.load(std::memory_order_acquire)) graveyard_.clear();
  }
  tell_cpu();
  bool progress = false;
  if (scan(everything ? links_ : hot_, progress) == kept::nothing) return kept::nothing;
  if (everything && close_ended() == kept::nothing) return kept::nothing;
  if (has_posted_.load(std::memory_order_acquire) && run_posted() == kept::nothing)
    return kept::nothing;
  if (progress || stopping_.load(std::memory_order_relaxed)) return kept::turn;
  if (!spin()) return sleep();
  return scan(hot_, progress);
}

void server::state::tell_cpu() {
  const auto cpu = base::current_cpu();
  if (cpu == std::exchange(told_cpu_, cpu)) return;
  for (const auto& one : links_)
    one->self_->through->over().tell_cpu();
}

bool server::state::spin() {
  if (hot_.empty()) return false;
  bool rang = false;
  std::uint32_t cpu = base::no_cpu;
  if (last_active_ != nullptr) {
    rang = last_active_->self_->through->rang();
    cpu = last_active_->self_->through->over().peer_cpu();
  }
  return habits_.spin(
      [&] {
        for (const auto& one : hot_)
          if (one->self_->through->ready()) return true;
        return has_posted_.load(std::memory_order_relaxed);
      },
      rang, cpu);
}

server::state::kept server::state::sleep() {
  asleep_.store(true, std::memory_order_seq_cst);
  const bool now = arm_all() || has_posted_.load(std::memory_order_seq_cst)
                   || stopping_.load(std::memory_order_seq_cst);
  std::array<epoll_event, 32> events{};
  const int limit_ms = now ? 0 : sleep_limit_ms();
  const int awake = ::epoll_wait(polls_.get(), events.data(), events.size(), limit_ms);
  asleep_.store(false, std::memory_order_seq_cst);
  if (spare_parked_.load(std::memory_order_seq_cst)) {
    spare_word_.fetch_add(1, std::memory_order_seq_cst);
    base::futex_wake(spare_word_, 1);
  }
  if (awake == 0 && limit_ms == seat_belt_ms) count_rescues();
  for (const auto& one : links_)
    one->self_->through->slept();
  for (int i = 0; i < awake; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    note_event(event.data.u64, (event.events & ~EPOLLOUT) != 0);
  }
  choose_hot();
  bool progress = false;
  if (scan(links_, progress) == kept::nothing || close_ended() == kept::nothing)
    return kept::nothing;
  for (const auto id : std::exchange(greeted_, {}))
    if (greet(id) == kept::nothing) return kept::nothing;
  end_late_greetings();
  return kept::turn;
}

// Declares itself asleep on every link, then looks at each once more.
bool server::state::arm_all() {
  bool moved = false;
  for (const auto& one : links_) {
    auto& through = *one->self_->through;
    through.flush();
    moved = through.arm() || moved;
    listen_for_room(*one);
  }
  return moved || std::any_of(links_.begin(), links_.end(), [](const link_ptr& one) {
           return one->self_->through->ready() || one->self_->through->ended();
         });
}

void server::state::count_rescues() {
  for (const auto& one : links_)
    if (one->self_->through->ready() && !one->self_->through->ended())
      one->self_->through->count_rescue();
}

int server::state::sleep_limit_ms() const {
  int limit = seat_belt_ms;
  for (const auto& [id, one] : greetings_)
    limit = std::min(limit, base::poll_timeout_ms(one->deadline(), seat_belt_ms));
  return limit;
}

server::state::kept server::state::run_posted() {
  std::vector<std::function<void()>> jobs;
  std::vector<accepted> arriving;
  {
    const std::lock_guard lock(mutex_);
    jobs.swap(posted_);
    arriving.swap(arriving_);
    has_posted_.store(false, std::memory_order_release);
  }
  for (auto& one : arriving)
    admit(std::move(one));
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (guarded(nullptr, jobs[i]) == kept::turn) continue;
    // The rest belongs to the thread that polls now.
    const std::lock_guard lock(mutex_);
    posted_.insert(posted_.begin(),
                   std::make_move_iterator(jobs.begin() + static_cast<long>(i) + 1),
                   std::make_move_iterator(jobs.end()));
    has_posted_.store(!posted_.empty() || !arriving_.empty(), std::memory_order_release);
    wake();
    return kept::nothing;
  }
  return kept::turn;
}

// ---------------------------------------------------------------------------------------- the spare

void server::state::stand_by(unsigned thread) {
  std::uint64_t seen = 0;
  int quiet = 0;
  while (!turn_.is_of(thread) && !stopped_.load(std::memory_order_acquire)) {
    quiet = asleep_.load(std::memory_order_relaxed) ? quiet + 1 : 0;
    if (quiet > quiet_ticks_max) {
      park_spare();
      quiet = 0;
    }
    base::futex_wait(spare_word_, spare_word_.load(std::memory_order_seq_cst), base::after(tick));
    does_.on_tick();
    const auto now = turn_.look();
    if (now == seen && turn::inside(now) && !absent_.exchange(true, std::memory_order_acq_rel)) {
      if (turn_.take(now)) return;
      absent_.store(false, std::memory_order_release);
    }
    seen = now;
  }
}

void server::state::park_spare() {
  const auto word = spare_word_.load(std::memory_order_seq_cst);
  spare_parked_.store(true, std::memory_order_seq_cst);
  if (asleep_.load(std::memory_order_seq_cst) && !stopped_.load(std::memory_order_seq_cst))
    base::futex_wait(spare_word_, word, base::never);
  spare_parked_.store(false, std::memory_order_relaxed);
}

// ---------------------------------------------------------------------------------------- from any thread

void server::state::wake() noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(bell_.get(), &one, sizeof one));
}

void server::state::post(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(job));
    has_posted_.store(true, std::memory_order_seq_cst);
  }
  if (asleep_.load(std::memory_order_seq_cst)) wake();
}

void server::state::stop() {
  const std::lock_guard lock(stop_mutex_);
  stopping_.store(true, std::memory_order_seq_cst);
  wake();
  for (auto& thread : threads_)
    thread.join();
  threads_.clear();
}

std::vector<std::shared_ptr<served_link>> server::state::all_links() const {
  const std::lock_guard lock(mutex_);
  return listed_;
}

result<std::unique_ptr<server>> server::start(handler& does, options how) {
  if (how.credits == 0 || how.credits > calls_in_flight_max)
    return fail(kind::invalid, "credits", "a link has 1 to 65536 credits");
  base::unique_fd polls(::epoll_create1(EPOLL_CLOEXEC));
  base::unique_fd bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!polls || !bell)
    return fail(kind::overloaded, "out_of_descriptors",
                "no descriptors left to serve links: raise the limit of open files");
  return std::unique_ptr<server>(
      new server(std::make_unique<state>(does, std::move(how), std::move(polls), std::move(bell))));
}

server::server(std::unique_ptr<state> self)
    : self_(std::move(self)), fork_generation_(base::fork_generation()) {
  base::watch_forks();
}

server::~server() {
  if (fork_generation_ == base::fork_generation())
    self_->stop();
  else
    static_cast<void>(self_.release());  // the threads are the parent's
}

void server::adopt(accepted socket) {
  self_->adopt(std::move(socket));
}

void server::post(std::function<void()> job) {
  self_->post(std::move(job));
}

void server::stop() {
  self_->stop();
}

std::vector<std::shared_ptr<served_link>> server::links() const {
  return self_->all_links();
}

}  // namespace berth::net
