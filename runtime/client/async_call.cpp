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
///
/// A thousand calls under way are read from the outer caches. So what every call touches lies in four lines: who answers
/// and who takes the answer need the first and the slot's two, its maker the fourth as well.
class alignas(64) async_call_core final : public async_call,
                                          public net::call_events,
                                          public client::expiring {
 public:
  async_call_core() : first_slot_(this) {}

  /// Requires `forget`, or a new object. `shared` is null for a handle that refers to nothing.
  void use(client::thread_calls* shared, const call_settings& how) {
    reset();
    calls_ = shared;
    if (how.bucket || how.watch != nullptr || how.patience != usual.patience) [[unlikely]] {
      how_ = how;
      has_settings_ = true;
    }
    clock_ = call_clock::starting(how);
  }

  std::byte* room(const codec::plan& plan) override {
    if (plan.bytes <= small_block_.size()) [[likely]] {
      block_bytes_ = plan.bytes;
      return small_block_.data();
    }
    return large_room(plan);
  }

  void start(std::vector<external> externals) override;

  error_info* failed() noexcept override { return was_plain() || !why_ ? nullptr : &*why_; }

  block_view reply() const noexcept override {
    if (was_plain()) [[likely]]
      return {first_slot_.answer().body.bytes(), {}};
    return {last_slot().answer().body.bytes(), received_};
  }

  std::uint32_t version() const noexcept override {
    return over_ != nullptr && over_->to ? over_->to->version : 0;
  }

  void cancel() noexcept override {
    end_early(fail(kind::cancelled, "cancelled", "the call was cancelled by its caller"));
  }

 private:
  friend class async_pool;

  static const call_settings usual;

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

  [[nodiscard]] callee& to() const noexcept { return calls_->of; }

  [[nodiscard]] const call_settings& how() const noexcept { return has_settings_ ? how_ : usual; }

  [[nodiscard]] error_info ran_late() const { return too_late(to().ref(), {1, 0}); }

  void on_done(net::pending& slot) noexcept override;

  void on_event(net::pending& /*slot*/, net::message& what) noexcept override {
    watching::tell(how().watch, what);
  }

  /// Nobody else can know of this call yet.
  [[nodiscard]] bool is_unknown() const noexcept { return !has_timer_ && tally_.untouched(); }

  /// What is rare has not been touched: it lies far away.
  [[nodiscard]] bool was_plain() const noexcept { return !rare_.load(std::memory_order_relaxed); }

  void no_longer_plain() noexcept { rare_.store(true, std::memory_order_relaxed); }

  [[nodiscard]] const net::pending& last_slot() const noexcept {
    return more_slots_.empty() ? first_slot_ : more_slots_.back();
  }

  [[nodiscard]] std::byte* block() noexcept {
    return block_bytes_ <= small_block_.size() ? small_block_.data() : large_block_.data();
  }

  std::byte* large_room(const codec::plan& plan);
  void keep_payloads();
  void try_send();
  [[nodiscard]] bool goes_the_usual_way() noexcept;
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
  void forget() noexcept;
  void forget_rare() noexcept;

  // Warm.
  client::thread_calls* calls_ = nullptr;  // holds the callee
  std::uint32_t block_bytes_ = 0;
  std::atomic<bool> rare_{false};  // something below was touched
  bool has_timer_ = false;
  bool has_settings_ = false;  // `how_` says something unusual
  bool asked_ = false;         // at the deadline, whether it had started; by the timer's thread
  alignas(64) net::pending first_slot_;
  alignas(64) call_clock clock_;
  call_tally tally_;
  std::atomic<net::pending*> slot_{nullptr};  // under way, or null while a callback decides
  const client::way* over_ = nullptr;         // what all calls share, or `own_way_`
  alignas(8) std::array<std::byte, 80> small_block_;

  // Rare.
  std::uint64_t timer_ = 0;
  call_settings how_;
  client::way own_way_;
  bytes large_block_;
  std::vector<external> externals_;
  std::vector<external> received_;
  std::mutex mutex_;  // which slot is under way, and who ends the call
  std::deque<net::pending> more_slots_;
  std::optional<error_info> early_;
  std::optional<error_info> why_;
};

const call_settings async_call_core::usual;

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
    if (one->calls_ != nullptr) one->calls_->ended(number_);
    if (count_ == at_hand_.size()) spill(count_ / 2);
    at_hand_[count_++] = one;
  }

  /// Counts one more call of this thread through `to`.
  client::thread_calls* call_through(callee& to) {
    if (calls_stamp_ != to.stamp()) [[unlikely]]
      look_up(to);
    calls_->begun();
    return calls_;
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
    std::vector<std::uint32_t> free_numbers;
    std::uint32_t numbers = 0;
  };

  static store& of_process() {
    static auto* made = new store;
    return *made;
  }

  /// At the thread's end, which some futures outlive: the object itself is never destroyed.
  void empty_at_end() {
    struct guard {
      async_pool* pool = nullptr;

      ~guard() {
        pool->spill(pool->count_);
        pool->give_number_back();
      }
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

  void look_up(callee& to) {
    if (number_ == no_number) take_number();
    calls_ = &to.calls_of(number_);
    calls_stamp_ = calls_->stamp();
  }

  void take_number() {
    auto& from = of_process();
    const std::lock_guard lock(from.mutex);
    if (from.free_numbers.empty()) {
      number_ = from.numbers++;
      return;
    }
    number_ = from.free_numbers.back();
    from.free_numbers.pop_back();
  }

  void give_number_back() {
    if (number_ == no_number) return;
    auto& to = of_process();
    const std::lock_guard lock(to.mutex);
    to.free_numbers.push_back(std::exchange(number_, no_number));
    calls_stamp_ = 0;
  }

  static constexpr std::uint32_t no_number = ~std::uint32_t{0};

  std::array<async_call_core*, 32> at_hand_{};
  std::size_t count_ = 0;
  client::thread_calls* calls_ = nullptr;  // of the callee that was called last
  std::uint64_t calls_stamp_ = 0;          // while its table has this stamp
  std::uint32_t number_ = no_number;       // of this thread, among those that make calls
  bool emptied_at_end_ = false;
};

void async_call_core::destroy() noexcept {
  async_pool::of_thread().give_back(this);
}

void async_call_core::forget() noexcept {
  if (!was_plain()) [[unlikely]]
    forget_rare();
  over_ = nullptr;
  has_settings_ = false;
  asked_ = false;
  slot_.store(nullptr, std::memory_order_relaxed);
  tally_ = {};
  has_timer_ = false;
  first_slot_.forget_answer();
}

void async_call_core::forget_rare() noexcept {
  rare_.store(false, std::memory_order_relaxed);
  own_way_.to.reset();
  large_block_.clear();
  externals_.clear();
  received_.clear();
  more_slots_.clear();
  early_.reset();
  why_.reset();
}

std::byte* async_call_core::large_room(const codec::plan& plan) {
  no_longer_plain();
  auto fits = codec::check(plan);
  if (!fits) why_ = std::move(fits).error();
  block_bytes_ = fits ? static_cast<std::uint32_t>(plan.bytes) : 0;
  large_block_.resize(plan.bytes);
  return large_block_.data();
}

void async_call_core::start(std::vector<external> externals) {
  add_first_ref();
  if (!was_plain() && why_) [[unlikely]]
    return end_with(std::exchange(why_, std::nullopt));
  if (calls_ == nullptr) [[unlikely]]
    return end_with(fail(kind::invalid, "empty_handle",
                         "this handle refers to no function; get one from a client"));
  if (!externals.empty()) {
    no_longer_plain();
    externals_ = std::move(externals);
    keep_payloads();
  }
  if (clock_.end != base::never) {
    has_timer_ = true;
    timer_ = client::timers::of_process().add(clock_.end, *this);
  }
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
    net::pending* slot = &first_slot_;
    if (!goes_the_usual_way()) [[unlikely]] {
      client::way over;
      if (!to().pick_open(how().bucket, over)) {
        auto found = to().pick(how().bucket, clock_.end);
        if (!found) return end_with(no_way(std::move(found).error(), to().ref(), clock_, tally_));
        over = *std::move(found);
      }
      slot = next_slot(std::move(over));
    }
    const auto how = slot != nullptr ? send_over(*slot) : sent::ended_early;
    if (how == sent::yes) [[likely]]
      return;
    if (how == sent::ended_early) return end_between();
    std::optional<error_info> why;
    if (judge(to(), *over_, *slot, clock_, tally_, why) == verdict::failed)
      return end_with(std::move(why));
  }
}

bool async_call_core::goes_the_usual_way() noexcept {
  if (!is_unknown()) return false;
  over_ = calls_->settled();
  return over_ != nullptr;
}

/// Ended early while no try was under way.
void async_call_core::end_between() {
  if (early_->kind == kind::timed_out) return end_with(too_late(to().ref(), tally_));
  end_with(early_);
}

/// The slot of the next attempt; null when the call was ended meanwhile.
net::pending* async_call_core::next_slot(client::way over) {
  no_longer_plain();
  std::unique_lock lock(mutex_, std::defer_lock);
  if (!is_unknown()) {
    lock.lock();
    if (early_) return nullptr;
  }
  own_way_ = std::move(over);
  over_ = &own_way_;
  return tally_.untouched() ? &first_slot_ : &more_slots_.emplace_back(this);
}

async_call_core::sent async_call_core::send_over(net::pending& slot) {
  auto& link = over_->to->link();
  const bool has_payloads = !was_plain() && !externals_.empty();
  // What does not go straight into the lane may be lost, and tried elsewhere, before it was committed; a callback holds
  // no handle.
  const bool is_small = block_bytes_ <= small_block_.size();
  const bool straight =
      is_unknown() && !has_payloads && (is_small || block_bytes_ <= link.body_bytes_direct());
  const auto kept = straight ? nullptr : over_->to;
  const bool alone = link.in_flight() == 0;
  const auto header = header_for(*over_, clock_);
  auto room =
      room_for(slot, *over_, header, block_bytes_,
               has_payloads ? for_lane(externals_) : std::vector<base::external>(), how(), clock_);
  if (!room) return sent::refused;
  std::memcpy(room.body(), block(), block_bytes_);
  if (is_unknown()) [[likely]] {
    slot_.store(&slot, std::memory_order_release);
  } else {
    const std::lock_guard lock(mutex_);
    if (!was_plain() && early_)
      return sent::ended_early;  // the room is given back: it was not sent
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
  if (has_timer_ || !plain) {
    const std::lock_guard lock(mutex_);
    slot_.store(nullptr, std::memory_order_relaxed);
    late = asked_ && answered && !slot.never_started();
  }
  if (late) return end_on_reader(ran_late());  // told to stop at the deadline: its result is none
  if (plain) [[likely]] {
    if (answer.header.externals != 0) [[unlikely]] {
      no_longer_plain();
      received_ = from_lane(answer.externals);
    }
    return end_on_reader(std::nullopt);
  }
  client::callbacks::of_process().post(
      [](void* self) { static_cast<async_call_core*>(self)->settle(); }, this);
}

/// On a callback thread: decides what an end without a result means.
void async_call_core::settle() {
  bool early = false;
  no_longer_plain();
  {
    const std::lock_guard lock(mutex_);
    early = early_.has_value();
  }
  if (early && early_->kind != kind::timed_out) return end_with(early_);
  auto& slot = more_slots_.empty() ? first_slot_ : more_slots_.back();
  std::optional<error_info> why;
  if (judge(to(), *over_, slot, clock_, tally_, why) == verdict::failed)
    return end_with(std::move(why));
  tally_.tries = std::max(tally_.tries, 1u);
  try_send();
}

/// The last step of every call.
void async_call_core::end_with(std::optional<error_info> why, ender who) {
  no_longer_plain();
  why_ = std::move(why);
  if (std::exchange(has_timer_, false) && who != ender::timer)
    client::timers::of_process().take_back(timer_);
  complete();
  release();
}

/// The same on a thread that reads links. What the call holds may be the last reference to that very link: it is let go
/// of elsewhere.
void async_call_core::end_on_reader(std::optional<error_info> why) {
  if (why) [[unlikely]] {
    no_longer_plain();
    why_ = std::move(why);
  }
  if (std::exchange(has_timer_, false)) client::timers::of_process().take_back(timer_);
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
    no_longer_plain();
    early_ = ran_late();
    return base::never;
  }
  const bool first = !std::exchange(asked_, true);
  const auto line = over_->to;
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
  no_longer_plain();
  auto* slot = slot_.load(std::memory_order_acquire);
  if (slot == nullptr) {
    early_ = std::move(why);
    return;
  }
  const auto line = over_->to;
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
      if (slot != nullptr) line = over_->to;
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

pending_ref<async_call> async_call::make(const callee_ref& to, const call_settings& how) {
  auto& pool = async_pool::of_thread();
  auto* core = pool.take();
  core->use(to != nullptr ? pool.call_through(*to) : nullptr, how);
  return pending_ref<async_call>(core);
}

}  // namespace berth::detail
