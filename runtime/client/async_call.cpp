#include "runtime/client/attempt.hpp"
#include "runtime/client/callbacks.hpp"
#include "runtime/client/timers.hpp"
#include "runtime/value/lane_memory.hpp"

#include <berth/call.hpp>
#include <cstring>
#include <deque>
#include <mutex>
#include <utility>

namespace berth::detail {
namespace {

thread_local bool reading_a_link = false;

/// While a link's reader runs our listener.
struct reading_scope {
  reading_scope() noexcept { reading_a_link = true; }

  ~reading_scope() { reading_a_link = false; }
};

class async_pool;

/// A call under way by itself. Its own reference keeps it alive until it is done.
///
/// The thread that reads the answer only notes it. What may block (asking the head, trying elsewhere) runs as a
/// callback.
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

  void try_send();
  bool send_over(net::pending& slot);
  void settle();
  void end_between();
  enum class ender : std::uint8_t { anybody, timer };
  void end_with(std::optional<error_info> why, ender who = ender::anybody);
  void end_early(error_info why, ender who = ender::anybody) noexcept;
  bool wait_here(std::chrono::steady_clock::time_point end) override;
  void destroy() noexcept override;
  void forget();

  callee_ref to_;
  call_settings how_;
  bytes block_;
  bytes refused_;
  std::vector<external> externals_;
  call_clock clock_;
  call_tally tally_;
  std::uint64_t timer_ = 0;

  std::mutex mutex_;  // which slot is under way, and who ends the call
  client::way over_;
  net::pending first_slot_;
  std::deque<net::pending> more_slots_;
  net::pending* slot_ = nullptr;  // under way, or null while a callback decides
  std::optional<error_info> early_;
  bool asked_ = false;  // at the deadline, whether it had started; by the timer's thread

  std::optional<error_info> why_;
  block_view reply_;
  std::vector<external> received_;
};

/// Calls that have ended wait here to be used again: a warm call allocates nothing.
class async_pool {
 public:
  static async_pool& of_process() {
    static auto* made = new async_pool;
    return *made;
  }

  async_call_core* take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return new async_call_core;
    auto* one = free_.back();
    free_.pop_back();
    return one;
  }

  void give_back(async_call_core* one) noexcept {
    one->forget();
    {
      const std::lock_guard lock(mutex_);
      if (free_.size() < kept_max) {
        free_.push_back(one);
        return;
      }
    }
    delete one;
  }

 private:
  static constexpr std::size_t kept_max = 4096;

  async_pool() { free_.reserve(kept_max); }

  std::mutex mutex_;
  std::vector<async_call_core*> free_;
};

void async_call_core::destroy() noexcept {
  // What it holds may be the last reference to the very link whose reader calls here: let go of it elsewhere.
  if (!reading_a_link) return async_pool::of_process().give_back(this);
  client::callbacks::of_process().post(
      [](void* self) { async_pool::of_process().give_back(static_cast<async_call_core*>(self)); },
      this);
}

void async_call_core::forget() {
  over_ = {};  // before the session that drives its link
  to_.reset();
  externals_.clear();
  received_.clear();
  more_slots_.clear();
  slot_ = nullptr;
  early_.reset();
  asked_ = false;
  why_.reset();
  reply_ = {};
  tally_ = {};
  timer_ = 0;
  if (first_slot_.done()) first_slot_.answer().body.clear();
}

void async_call_core::start(std::vector<external> externals) {
  add_ref();
  if (why_) return end_with(std::exchange(why_, std::nullopt));
  if (to_ == nullptr)
    return end_with(fail(kind::invalid, "empty_handle",
                         "this handle refers to no function; get one from a client"));
  externals_ = std::move(externals);
  for (auto& one : externals_) {  // arguments may change once this returns
    if (one.owner) continue;
    one.owner = heap_memory(one.bytes);
    std::memcpy(one.owner->data(), one.data, one.bytes);
    one.data = one.owner->data();
  }
  clock_ = call_clock::starting(how_);
  if (clock_.end != base::never) timer_ = client::timers::of_process().add(clock_.end, *this);
  try_send();
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
    net::pending* slot = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (early_) break;
      over_ = std::move(over);
      if (tally_.tries == 0 && tally_.starts == 0)
        slot = &first_slot_;
      else
        slot = &more_slots_.emplace_back(this);
    }
    if (send_over(*slot)) return;
    std::optional<error_info> why;
    if (judge(*to_, over_, *slot, clock_, tally_, why) == verdict::failed)
      return end_with(std::move(why));
  }
  end_between();
}

/// Ended early while no try was under way.
void async_call_core::end_between() {
  if (early_->kind == kind::timed_out) return end_with(too_late(to_->ref(), tally_));
  end_with(early_);
}

bool async_call_core::send_over(net::pending& slot) {
  auto& link = over_.to->link();
  const bool alone = link.in_flight() == 0;
  auto room = room_for(slot, over_, header_for(over_, clock_), block_.size(), for_lane(externals_),
                       how_, clock_);
  if (!room) return false;
  std::memcpy(room.body(), block_.data(), block_.size());
  {
    const std::lock_guard lock(mutex_);
    slot_ = &slot;
  }
  room.commit(alone ? net::reservation::when::now : net::reservation::when::batched);
  return true;
}

void async_call_core::on_done(net::pending& slot) noexcept {
  const reading_scope here;
  bool late = false;
  {
    const std::lock_guard lock(mutex_);
    slot_ = nullptr;
    late = asked_ && slot.how() == net::completion::answered && !slot.never_started();
  }
  if (late) return end_with(ran_late());  // told to stop at the deadline: its result is none
  auto& answer = slot.answer();
  if (slot.how() == net::completion::answered && answer.header.kind == net::frame_kind::result) {
    if (!answer.externals.empty()) received_ = from_lane(answer.externals);
    reply_ = {answer.body.bytes(), received_};
    end_with(std::nullopt);
    return;
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

/// At the deadline the callee is asked to stop and has a moment to say whether the call had started.
base::time_point async_call_core::expire() noexcept {
  std::unique_lock lock(mutex_);
  if (done() || early_) return base::never;
  if (slot_ == nullptr) {
    early_ = ran_late();
    return base::never;
  }
  const bool first = !std::exchange(asked_, true);
  auto* const slot = slot_;  // stays: who ends the call takes this timer back first
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
  if (slot_ == nullptr) {
    early_ = std::move(why);
    return;
  }
  auto* slot = slot_;
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
      slot = slot_;
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
  auto* core = async_pool::of_process().take();
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
