// Promised starts: when and where the first job that does not fit will run.
#include "runtime/base/ensure.hpp"
#include "scheduler/queue.hpp"

#include <algorithm>

namespace berth::sched {
namespace {

/// Something that will be free from `when` on.
struct release_event {
  instant when;
  claim held;
  bool exact;
};

/// A copy of the inventory that is brought forward in time by letting go what will have ended.
class future {
 public:
  future(const inventory& nodes, std::vector<release_event> events)
      : start_(nodes), events_(std::move(events)) {
    std::stable_sort(events_.begin(), events_.end(),
                     [](const auto& a, const auto& b) { return a.when < b.when; });
  }

  [[nodiscard]] const std::vector<release_event>& events() const noexcept { return events_; }

  /// The inventory once the first `count` events have happened.
  [[nodiscard]] inventory after(std::size_t count) const {
    auto nodes = start_;
    for (std::size_t i = 0; i < count; ++i)
      base::ensure(nodes.release(events_[i].held).has_value(), "an event's claim is current");
    return nodes;
  }

 private:
  inventory start_;
  std::vector<release_event> events_;
};

}  // namespace

void work_queue::drop_promise() {
  if (!promise_) return;
  calendar_.remove(bar::reason::promise, promise_->job.line);
  promise_.reset();
  ++loosened_;
  blocked_.clear();
  blocked_at_ = loosened_;
}

/// Its holder starts at `when`. A promise whose nodes have failed meanwhile is not late but displaced.
void work_queue::count_promise(instant when) {
  if (!promise_->exact) return;
  if (when <= promise_->start)
    ++counters_.promises_kept;
  else
    ++(promise_stale_ ? counters_.promises_displaced : counters_.promises_late);
}

void work_queue::promise_start(const line_state& line, job_id job) {
  const bool others = promise_ && promise_->job.line != job.line;
  if (others && !goes_before_promise(line, job)) return;
  const bool failed = promise_ && promise_stale_;
  const bool overdue_estimate = promise_ && !promise_->exact && promise_->start <= now_;
  if (promise_ && !others && !failed && !overdue_estimate && promise_at_ == loosened_) return;
  auto found = earliest_start(line, job);
  if (others && !found) return;
  promise_stale_ = false;
  promise_at_ = loosened_;
  if (promise_ && !others && !failed && promise_->exact
      && (!found || found->start >= promise_->start))
    return;
  if (others || (failed && promise_->exact && (!found || found->start > promise_->start)))
    ++counters_.promises_displaced;
  const bool news =
      found && found->exact && (!promise_ || others || promise_->start != found->start);
  const auto before = promise_ ? std::optional(promise_->where) : std::nullopt;
  drop_promise();
  promise_at_ = loosened_;
  if (before && (!found || found->where != *before)) pass_again_ = true;  // nodes are let go
  if (!found) return;
  for (const auto& rank : found->where.ranks)
    calendar_.add({rank.node, found->start, {}, bar::reason::promise, job.line});
  if (news) emit({act::promised, job, now_, found->where, {}, {}, found->start, 0});
  promise_ = std::move(found);
  // Another way of planning than the policy's may find room at once.
  if (promise_->exact && promise_->start <= now_) pass_again_ = true;
}

/// The first moment at which it fits when everything runs to its limit. What is being handed over is looked at as if
/// the new holder ran already; it will before anything is promised.
std::optional<promise> work_queue::earliest_start(const line_state& line, job_id job) const {
  auto nodes = nodes_;
  std::vector<release_event> events;
  const auto end_or_guess = [&](std::optional<instant> end, instant started) {
    if (end) return *end;
    const auto elapsed = now_ - started;
    return now_ + std::max(options_.run_assumed - elapsed, elapsed);
  };
  auto from = now_;
  for (const auto& [id, state] : jobs_) {
    if (state.leaving_for)
      (void)nodes.release(state.held);
    else
      events.push_back(
          {end_or_guess(state.ends, state.started), state.held, state.ends.has_value()});
  }
  const auto occupy = [&](const demand& wanted, const placement& where, instant deadline) {
    if (const auto held = nodes.reserve(where)) {
      const auto end = end_of(wanted, deadline);
      events.push_back({end_or_guess(end, deadline), *held, end.has_value()});
    }
  };
  for (const auto& [id, one] : handovers_) {
    from = std::max(from, one.deadline);
    occupy(lines_.at(one.job.line).wanted, one.where, one.deadline);
    for (const auto& moved : one.moving)
      occupy(lines_.at(moved.job.line).wanted, moved.to, one.deadline);
  }
  const future later(nodes, std::move(events));

  const auto teams = teams_after_handovers();
  auto bars = calendar_;
  bars.remove(bar::reason::promise, job.line);
  const auto exact_until = [&](std::size_t count) {
    return std::all_of(later.events().begin(),
                       later.events().begin() + static_cast<std::ptrdiff_t>(count),
                       [](const auto& one) { return one.exact; });
  };
  const auto at = [&](instant when, std::size_t count) -> std::optional<promise> {
    auto then = later.after(count);
    auto by = make_policy("bestfit");
    auto placed = plan_within_quota(teams, then, **by, line,
                                    bars.mask(then.size(), when, end_of(line.wanted, when)));
    if (!placed) return std::nullopt;
    return promise{job, when, exact_until(count), std::move(*placed)};
  };
  const auto when_after = [&](std::size_t count) {
    return count == 0 ? from : std::max(from, later.events()[count - 1].when);
  };

  const auto total = later.events().size();
  if (windows_.empty()) {
    // Room only grows with each end, so the first count that is enough is found by halving.
    std::size_t low = 0;
    std::size_t high = total + 1;
    std::optional<promise> best;
    while (low < high) {
      const auto middle = low + (high - low) / 2;
      auto tried = middle > total ? std::nullopt : at(when_after(middle), middle);
      if (tried || middle > total) {
        if (tried) best = std::move(tried);
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return best;
  }
  std::vector<instant> moments{from};
  for (const auto& one : later.events())
    moments.push_back(std::max(from, one.when));
  for (const auto& [number, window] : windows_)
    if (window.until > from) moments.push_back(window.until);
  std::sort(moments.begin(), moments.end());
  moments.erase(std::unique(moments.begin(), moments.end()), moments.end());
  for (const auto when : moments) {
    const auto count =
        static_cast<std::size_t>(std::find_if(later.events().begin(), later.events().end(),
                                              [&](const auto& one) { return one.when > when; })
                                 - later.events().begin());
    if (auto found = at(when, count)) return found;
  }
  return std::nullopt;
}

}  // namespace berth::sched
