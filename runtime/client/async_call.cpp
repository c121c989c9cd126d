#include "runtime/client/attempt.hpp"
#include "runtime/client/callbacks.hpp"
#include "runtime/client/timers.hpp"
#include "runtime/value/lane_memory.hpp"

#include <array>
#include <atomic>
#include <berth/call.hpp>
#include <cstring>
#include <deque>
#include <mutex>
#include <utility>

namespace berth::detail {
namespace {

class async_pool;

/// A call under way by itself. Its own reference keeps it alive until it is done.
///
/// The thread that reads the answer only notes it. What may block (asking the head, trying elsewhere) runs as a
/// callback.
///
/// A call that is sent once, has no deadline and is answered by a result meets nobody on its way: until it is sent only
/// its maker knows it, and the link itself decides between the answer and who lets go of it. So it takes no lock. All
/// other ways take `mutex_`.
class async_call_core final : public async_call, public net::call_events, public client::expiring {
 public:
  async_call_core() : first_slot_(this) {}

  void use(callee_ref to, const call_settings& how) {
    reset();
    to_ = std::move(to);
    how_ = how;
  }

  std::byte* room(const codec::plan& plan) override {
    if (auto fits = codec::check(plan); !fits) {
      why_ = std::move(fits).error();
      block_.resize(0);
      refused_.resize(plan.bytes);
      return refused_.data();
    }
    block_.resize(plan.bytes);
    return block_.data();
  }

  void start(std::vector<external> externals) override;

  error_info* failed() noexcept override { return why_ ? &*why_ : nullptr; }

  block_view reply() const noexcept override { return reply_; }

  std::uint32_t version() const noexcept override { return over_.to ? over_.to->version : 0; }

  void cancel() noexcept override {
    end_early(fail(kind::cancelled, "cancelled", "the call was cancelled by its caller"));
  }

 private:
  friend class async_pool;

  base::time_point expire() noexcept override;

  // Only the answer to a cancel at the deadline matters. The reader holds the slot now, so it is let go of elsewhere.
  void on_credit(net::pending& slot) noexcept override {
    if (!slot.cancel_heard()) return;
    add_ref();
    client::callbacks::of_process().post(
        [](void* self) {
          const pending_ref<async_call_core> here(static_cast<async_call_core*>(self));
          here->end_early(here->ran_late());
        },
        this);
  }

  [[nodiscard]] error_info ran_late() const { return too_late(to_->ref(), {1, 0}); }

  void on_done(net::pending& slot) noexcept override;

  void on_event(net::pending& /*slot*/, net::message& what) noexcept override {
    watching::tell(how_.watch, what);
  }

  /// Nobody else can know of this call yet.
  [[nodiscard]] bool is_unknown() const noexcept { return timer_ == 0 && tally_.untouched(); }

  void keep_payloads();
  void try_send();
  [[nodiscard]] net::pending* next_slot(client::way over);
  enum class sent : std::uint8_t { yes, refused, ended_early };
  sent send_over(net::pending& slot);
  void settle();
  void end_between();
  enum class ender : std::uint8_t { anybody, timer };
  void end_with(std::optional<error_info> why, ender who = ender::anybody);
  void end_on_reader(std::optional<error_info> why);
  void end_early(error_info why, ender who = ender::anybody) noexcept;
  bool wait_here(std::chrono::steady_clock::time_point end) override;
  void destroy() noexcept override;
  void forget();

  // The warm way's own, close together: a thousand calls under way are read from the outer caches.
  callee_ref to_;
  client::way over_;
  std::uint64_t timer_ = 0;
  call_clock clock_;
  call_tally tally_;
  std::atomic<net::pending*> slot_{nullptr};  // under way, or null while a callback decides
  bool asked_ = false;  // at the deadline, whether it had started; by the timer's thread
  block_view reply_;
  bytes block_;
  net::pending first_slot_;
  call_settings how_;
  std::vector<external> externals_;
  std::vector<external> received_;

  // Rare.
  std::mutex mutex_;  // which slot is under way, and who ends the call
  std::deque<net::pending> more_slots_;
  std::optional<error_info> early_;
  std::optional<error_info> why_;
  bytes refused_;
};

/// Calls that have ended wait here to be used again: a warm call allocates nothing. Each thread has some at hand, so
/// that making and ending calls takes no lock; they come from the process's store and go back there by the half dozen.
class async_pool {
 public:
  static async_pool& of_thread() {
    thread_local constinit async_pool mine;
    if (!mine.emptied_at_end_) [[unlikely]]
      mine.empty_at_end();
    return mine;
  }

  async_call_core* take() {
    if (count_ == 0) fill();
    return count_ == 0 ? new async_call_core : at_hand_[--count_];
  }

  void give_back(async_call_core* one) noexcept {
    one->forget();
    if (count_ == at_hand_.size()) spill(count_ / 2);
    at_hand_[count_++] = one;
  }

  constexpr async_pool() = default;
  async_pool(const async_pool&) = delete;
  async_pool& operator=(const async_pool&) = delete;

 private:
  static constexpr std::size_t kept_max = 4096;

  struct store {
    store() { free.reserve(kept_max); }

    std::mutex mutex;
    std::vector<async_call_core*> free;
  };

  static store& of_process() {
    static auto* made = new store;
    return *made;
  }

  /// At the thread's end, which some futures outlive: the object itself is never destroyed.
  void empty_at_end() {
    struct guard {
      async_pool* pool = nullptr;

      ~guard() { pool->spill(pool->count_); }
    };

    thread_local guard mine;
    mine.pool = this;
    emptied_at_end_ = true;
  }

  void fill() {
    auto& from = of_process();
    const std::lock_guard lock(from.mutex);
    for (; count_ < at_hand_.size() / 2 && !from.free.empty(); from.free.pop_back())
      at_hand_[count_++] = from.free.back();
  }

  void spill(std::size_t n) noexcept {
    auto& to = of_process();
    const std::lock_guard lock(to.mutex);
    for (; n > 0; --n) {
      auto* one = at_hand_[--count_];
      if (to.free.size() < kept_max)
        to.free.push_back(one);
      else
        delete one;
    }
  }

  std::array<async_call_core*, 32> at_hand_{};
  std::size_t count_ = 0;
  bool emptied_at_end_ = false;
};

void async_call_core::destroy() noexcept {
  async_pool::of_thread().give_back(this);
}

void async_call_core::forget() {
  over_.to.reset();  // before the session that drives its link
  to_.reset();
  if (!externals_.empty()) externals_.clear();
  if (!received_.empty()) received_.clear();
  if (!more_slots_.empty()) more_slots_.clear();
  early_.reset();
  asked_ = false;
  why_.reset();
  slot_.store(nullptr, std::memory_order_relaxed);
  reply_ = {};
  tally_ = {};
  timer_ = 0;
  first_slot_.forget_answer();
}

void async_call_core::start(std::vector<external> externals) {
  add_first_ref();
  if (why_) [[unlikely]]
    return end_with(std::exchange(why_, std::nullopt));
  if (to_ == nullptr) [[unlikely]]
    return end_with(fail(kind::invalid, "empty_handle",
                         "this handle refers to no function; get one from a client"));
  if (!externals.empty()) {
    externals_ = std::move(externals);
    keep_payloads();
  }
  clock_ = call_clock::starting(how_);
  if (clock_.end != base::never) timer_ = client::timers::of_process().add(clock_.end, *this);
  try_send();
}

/// Arguments may change once `start` has returned.
void async_call_core::keep_payloads() {
  for (auto& one : externals_) {
    if (one.owner) continue;
    one.owner = heap_memory(one.bytes);
    std::memcpy(one.owner->data(), one.data, one.bytes);
    one.data = one.owner->data();
  }
}

/// Sends, or ends the call. May wait for a place in the callee's queue.
void async_call_core::try_send() {
  for (;;) {
    client::way over;
    if (!to_->pick_open(how_.bucket, over)) {
      auto found = to_->pick(how_.bucket, clock_.end);
      if (!found) return end_with(no_way(std::move(found).error(), to_->ref(), clock_, tally_));
      over = *std::move(found);
    }
    net::pending* slot = next_slot(std::move(over));
    const auto how = slot != nullptr ? send_over(*slot) : sent::ended_early;
    if (how == sent::yes) [[likely]]
      return;
    if (how == sent::ended_early) return end_between();
    std::optional<error_info> why;
    if (judge(*to_, over_, *slot, clock_, tally_, why) == verdict::failed)
      return end_with(std::move(why));
  }
}

/// Ended early while no try was under way.
void async_call_core::end_between() {
  if (early_->kind == kind::timed_out) return end_with(too_late(to_->ref(), tally_));
  end_with(early_);
}

/// The slot of the next attempt; null when the call was ended meanwhile.
net::pending* async_call_core::next_slot(client::way over) {
  if (is_unknown()) [[likely]] {
    over_ = std::move(over);
    return &first_slot_;
  }
  const std::lock_guard lock(mutex_);
  if (early_) return nullptr;
  over_ = std::move(over);
  return tally_.untouched() ? &first_slot_ : &more_slots_.emplace_back(this);
}

async_call_core::sent async_call_core::send_over(net::pending& slot) {
  auto& link = over_.to->link();
  // What does not go straight into the lane may be lost, and tried elsewhere, before it was committed.
  const bool straight = externals_.empty() && block_.size() <= link.body_bytes_direct();
  const auto kept = straight ? nullptr : over_.to;
  const bool alone = link.in_flight() == 0;
  const auto header = header_for(over_, clock_);
  auto room = externals_.empty() ? room_for(slot, over_, header, block_.size(), {}, how_, clock_)
                                 : room_for(slot, over_, header, block_.size(),
                                            for_lane(externals_), how_, clock_);
  if (!room) return sent::refused;
  std::memcpy(room.body(), block_.data(), block_.size());
  if (is_unknown()) [[likely]] {
    slot_.store(&slot, std::memory_order_release);
  } else {
    const std::lock_guard lock(mutex_);
    if (early_) return sent::ended_early;  // the room is given back: it was not sent
    slot_.store(&slot, std::memory_order_release);
  }
  room.commit(alone ? net::reservation::when::now : net::reservation::when::batched);
  return sent::yes;
}

void async_call_core::on_done(net::pending& slot) noexcept {
  auto& answer = slot.answer();
  const bool answered = slot.how() == net::completion::answered;
  const bool plain = answered && answer.header.kind == net::frame_kind::result;
  bool late = false;
  if (timer_ != 0 || !plain) {
    const std::lock_guard lock(mutex_);
    slot_.store(nullptr, std::memory_order_relaxed);
    late = asked_ && answered && !slot.never_started();
  }
  if (late) return end_on_reader(ran_late());  // told to stop at the deadline: its result is none
  if (plain) [[likely]] {
    if (answer.header.externals != 0) received_ = from_lane(answer.externals);
    reply_ = {answer.body.bytes(), received_};
    return end_on_reader(std::nullopt);
  }
  client::callbacks::of_process().post(
      [](void* self) { static_cast<async_call_core*>(self)->settle(); }, this);
}

/// On a callback thread: decides what an end without a result means.
void async_call_core::settle() {
  bool early = false;
  {
    const std::lock_guard lock(mutex_);
    early = early_.has_value();
  }
  if (early && early_->kind != kind::timed_out) return end_with(early_);
  auto& slot = more_slots_.empty() ? first_slot_ : more_slots_.back();
  std::optional<error_info> why;
  if (judge(*to_, over_, slot, clock_, tally_, why) == verdict::failed)
    return end_with(std::move(why));
  tally_.tries = std::max(tally_.tries, 1u);
  try_send();
}

/// The last step of every call.
void async_call_core::end_with(std::optional<error_info> why, ender who) {
  why_ = std::move(why);
  const auto timer = std::exchange(timer_, 0);
  if (timer != 0 && who != ender::timer) client::timers::of_process().take_back(timer);
  complete();
  release();
}

/// The same on a thread that reads links. What the call holds may be the last reference to that very link: it is let go
/// of elsewhere.
void async_call_core::end_on_reader(std::optional<error_info> why) {
  if (why) [[unlikely]]
    why_ = std::move(why);
  if (timer_ != 0) client::timers::of_process().take_back(std::exchange(timer_, 0));
  if (!complete_and_let_go()) [[likely]]
    return;
  client::callbacks::of_process().post(
      [](void* self) { static_cast<async_call_core*>(self)->destroy(); }, this);
}

/// At the deadline the callee is asked to stop and has a moment to say whether the call had started.
base::time_point async_call_core::expire() noexcept {
  std::unique_lock lock(mutex_);
  if (done() || early_) return base::never;
  // Stays while it is looked at: who ends the call takes this timer back first.
  auto* const slot = slot_.load(std::memory_order_acquire);
  if (slot == nullptr) {
    early_ = ran_late();
    return base::never;
  }
  const bool first = !std::exchange(asked_, true);
  const auto line = over_.to;
  lock.unlock();
  if (!first) {
    end_early(ran_late(), ender::timer);
    return base::never;
  }
  line->link().cancel(*slot);
  return base::after(net::link::cancel_answer_max);
}

/// Cancelled, or too late. A call under way is let go of; one that a callback decides about hears of it there.
void async_call_core::end_early(error_info why, ender who) noexcept {
  std::unique_lock lock(mutex_);
  if (done() || early_) return;
  auto* slot = slot_.load(std::memory_order_acquire);
  if (slot == nullptr) {
    early_ = std::move(why);
    return;
  }
  const auto line = over_.to;
  early_ = why;
  lock.unlock();
  line->link().abandon(*slot);
  if (slot->how() != net::completion::abandoned)
    return;  // its answer came first: `on_done` ends it
  end_with(std::move(why), who);
}

bool async_call_core::wait_here(std::chrono::steady_clock::time_point end) {
  while (!done()) {
    net::pending* slot = nullptr;
    std::shared_ptr<client::line> line;
    {
      const std::lock_guard lock(mutex_);
      slot = slot_.load(std::memory_order_acquire);
      line = over_.to;
    }
    if (slot == nullptr || slot->done()) return sleep_until(end);
    line->link().flush();
    const auto seen = slot->events_seen();
    line->link().wait_event(*slot, seen, end);
    if (!done() && end != base::never && base::steady::now() >= end) return false;
  }
  return true;
}

}  // namespace

async_call::~async_call() = default;

pending_ref<async_call> async_call::make(callee_ref to, const call_settings& how) {
  auto* core = async_pool::of_thread().take();
  core->use(std::move(to), how);
  return pending_ref<async_call>(core);
}

// ---- which is done next

struct done_list::state {
  std::mutex mutex;
  std::condition_variable arrived;
  std::deque<std::uint64_t> tokens;
};

namespace {

struct watched {
  std::shared_ptr<done_list::state> list;
  std::uint64_t token;
  pending_ref<pending> one;
};

}  // namespace

done_list::done_list() : state_(std::make_shared<state>()) {}

done_list::~done_list() = default;

void done_list::watch(pending& one, std::uint64_t token) {
  one.add_ref();
  auto* watch = new watched{state_, token, pending_ref<pending>(&one)};
  one.on_done(
      [](void* argument) {
        const std::unique_ptr<watched> done(static_cast<watched*>(argument));
        const std::lock_guard lock(done->list->mutex);
        done->list->tokens.push_back(done->token);
        done->list->arrived.notify_one();
      },
      watch);
}

std::uint64_t done_list::wait() {
  std::unique_lock lock(state_->mutex);
  state_->arrived.wait(lock, [&] { return !state_->tokens.empty(); });
  const auto token = state_->tokens.front();
  state_->tokens.pop_front();
  return token;
}

}  // namespace berth::detail
