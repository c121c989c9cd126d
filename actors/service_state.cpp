#include "actors/service_state.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace berth::actors {

std::string_view to_string(replica_phase phase) {
  switch (phase) {
    case replica_phase::starting:
      return "starting";
    case replica_phase::ready:
      return "ready";
    case replica_phase::draining:
      return "draining";
  }
  return "unknown";
}

service_state::service_state(std::string title, service_limits limits)
    : title_(std::move(title)), limits_(limits) {}

// --- claims and waiters ------------------------------------------------------------------------------------------------

service_effects service_state::claim(const service_claims& claims, clock::time_point now) {
  service_effects out;
  if (claims.tagged && !claims_.tagged) gave_up_ = false;
  // What lost its last tag stops as soon as it drained, however lately somebody asked for it.
  if (!claims.tagged && claims_.tagged) linger_until_ = now;
  claims_ = claims;
  reconcile(out, now);
  return out;
}

service_effects service_state::await(std::uint64_t id,
                                     std::uint32_t need,
                                     clock::time_point deadline,
                                     clock::time_point now) {
  service_effects out;
  linger_until_ = std::max(linger_until_, now + limits_.linger);
  if (gave_up_) {
    gave_up_ = false;  // being asked for is a new chance
    failures_.clear();
    start_after_ = now;
  }
  waiters_[id] = {need, deadline, false};
  reconcile(out, now);
  return out;
}

service_effects service_state::forget_waiter(std::uint64_t id) {
  waiters_.erase(id);
  return {};
}

service_effects service_state::restart(std::uint64_t id,
                                       clock::time_point deadline,
                                       clock::time_point now) {
  service_effects out;
  for (const auto& [which, one] : replicas_)
    if (one.phase != replica_phase::draining) old_[which] = true;
  gave_up_ = false;
  failures_.clear();
  waiters_[id] = {0, deadline, true};
  reconcile(out, now);
  return out;
}

// --- what becomes of replicas ------------------------------------------------------------------------------------------

service_effects service_state::placed(std::uint64_t ticket,
                                      std::uint64_t which,
                                      clock::time_point now) {
  service_effects out;
  asked_.erase(ticket);
  replicas_.emplace(which, replica{});
  reconcile(out, now);
  return out;
}

service_effects service_state::not_placed(std::uint64_t ticket,
                                          const error_info& why,
                                          clock::time_point now) {
  service_effects out;
  asked_.erase(ticket);
  failed(why, now);
  reconcile(out, now);
  return out;
}

service_effects service_state::started(std::uint64_t which, std::int64_t pid, clock::time_point) {
  if (auto found = replicas_.find(which); found != replicas_.end()) found->second.pid = pid;
  return {};
}

service_effects service_state::ready(std::uint64_t which,
                                     double load_ms,
                                     double health_ms,
                                     clock::time_point now) {
  service_effects out;
  auto found = replicas_.find(which);
  if (found == replicas_.end() || found->second.phase != replica_phase::starting) return out;
  found->second.phase = replica_phase::ready;
  found->second.load_ms = load_ms;
  found->second.health_ms = health_ms;
  out.push_back(replicas_changed{});
  reconcile(out, now);
  return out;
}

service_effects service_state::unfit(std::uint64_t which,
                                     const error_info& why,
                                     clock::time_point now) {
  service_effects out;
  auto found = replicas_.find(which);
  if (found == replicas_.end()) return out;
  found->second.phase = replica_phase::draining;  // it ends by itself
  // A version that cannot load will not load next time either: whoever waits hears it at once.
  failed(why, now);
  for (const auto& [id, one] : waiters_)
    out.push_back(answer_waiter{id, why});
  waiters_.clear();
  linger_until_ = now;
  reconcile(out, now);
  return out;
}

service_effects service_state::ended(std::uint64_t which,
                                     const error_info& why,
                                     clock::time_point now) {
  service_effects out;
  auto found = replicas_.find(which);
  if (found == replicas_.end()) return out;
  auto phase = found->second.phase;
  replicas_.erase(found);
  old_.erase(which);
  if (phase != replica_phase::draining) failed(why, now);
  if (phase == replica_phase::ready) out.push_back(replicas_changed{});
  reconcile(out, now);
  return out;
}

service_effects service_state::tick(clock::time_point now) {
  service_effects out;
  reconcile(out, now);
  return out;
}

void service_state::failed(const error_info& why, clock::time_point now) {
  last_failure_ = why;
  failures_.push_back(now);
  while (!failures_.empty() && now - failures_.front() > limits_.restart_window)
    failures_.pop_front();
  if (failures_.size() >= limits_.restarts_max) gave_up_ = true;
  auto wait = limits_.backoff_first * (1u << std::min<std::size_t>(failures_.size() - 1, 16));
  start_after_ = now + std::min<clock::duration>(wait, limits_.backoff_max);
}

// --- what should be ----------------------------------------------------------------------------------------------------

std::uint32_t service_state::wanted(clock::time_point now) const {
  bool lives = claims_.tagged || claims_.followers > 0 || now < linger_until_ || !waiters_.empty();
  auto wanted = lives ? std::max<std::uint32_t>(claims_.replicas, 1) : 0;
  return wanted;
}

std::uint32_t service_state::count(replica_phase phase) const {
  return static_cast<std::uint32_t>(
      std::count_if(replicas_.begin(), replicas_.end(),
                    [&](const auto& one) { return one.second.phase == phase; }));
}

std::uint32_t service_state::ready_count() const {
  return count(replica_phase::ready);
}

std::uint32_t service_state::outdated() const {
  return static_cast<std::uint32_t>(
      std::count_if(replicas_.begin(), replicas_.end(), [&](const auto& one) {
        return one.second.phase != replica_phase::draining && old_.contains(one.first);
      }));
}

bool service_state::idle(clock::time_point now) const {
  return replicas_.empty() && asked_.empty() && waiters_.empty() && wanted(now) == 0;
}

void service_state::reconcile(service_effects& out, clock::time_point now) {
  auto live =
      static_cast<std::uint32_t>(asked_.size()) + count(replica_phase::starting) + ready_count();
  // While replicas are being replaced one more lives than is wanted.
  auto goal = wanted(now) + (outdated() > 0 && wanted(now) > 0 ? 1 : 0);
  for (; live < goal && !gave_up_ && now >= start_after_; ++live) {
    asked_.emplace(++tickets_, now);
    out.push_back(start_one{tickets_});
  }
  if (live > wanted(now)) shed(out, now);
  answer_waiters(out, now);
  arm(out, now);
}

void service_state::shed(service_effects& out, clock::time_point now) {
  if (outdated() > 0 && wanted(now) > 0) {
    replace_outdated(out, now);
    return;
  }
  auto live = count(replica_phase::starting) + ready_count();
  std::vector<std::uint64_t> order;  // what is not ready yet goes first, then the newest
  for (auto phase : {replica_phase::starting, replica_phase::ready})
    for (auto one = replicas_.rbegin(); one != replicas_.rend(); ++one)
      if (one->second.phase == phase) order.push_back(one->first);
  for (auto which : order) {
    if (live <= wanted(now)) break;
    drain(out, which);
    --live;
  }
}

void service_state::replace_outdated(service_effects& out, clock::time_point now) {
  if (ready_count() <= wanted(now)) return;
  for (const auto& [which, ignored] : old_) {
    auto found = replicas_.find(which);
    if (found == replicas_.end() || found->second.phase == replica_phase::draining) continue;
    drain(out, which);
    break;
  }
  if (outdated() > 0) {
    auto live =
        static_cast<std::uint32_t>(asked_.size()) + count(replica_phase::starting) + ready_count();
    if (live <= wanted(now) && !gave_up_) {
      asked_.emplace(++tickets_, now);
      out.push_back(start_one{tickets_});
    }
  }
}

void service_state::drain(service_effects& out, std::uint64_t which) {
  auto& one = replicas_.at(which);
  bool was_ready = one.phase == replica_phase::ready;
  one.phase = replica_phase::draining;
  out.push_back(drain_one{which, limits_.drain});
  if (was_ready) out.push_back(replicas_changed{});
}

void service_state::answer_waiters(service_effects& out, clock::time_point now) {
  for (auto one = waiters_.begin(); one != waiters_.end();) {
    const auto& w = one->second;
    auto need = w.need == 0 ? std::max<std::uint32_t>(claims_.replicas, 1) : w.need;
    bool ready = w.restart ? outdated() == 0 && ready_count() >= std::min(need, wanted(now))
                           : ready_count() >= need;
    std::optional<error_info> why;
    if (!ready && gave_up_)
      why = fail(kind::failed, "keeps_dying",
                 fmt::format(
                     "{} ended {} times in a row and is not started again until it is asked for",
                     title_, failures_.size()))
                .at(last_failure_ ? last_failure_->message : "");
    else if (!ready && now >= w.deadline)
      why = fail(kind::timed_out, "not_ready",
                 fmt::format("no replica of {} became ready in time", title_))
                .at(last_failure_ ? last_failure_->message : "it is still starting");
    if (ready || why) {
      out.push_back(answer_waiter{one->first, why});
      one = waiters_.erase(one);
    } else {
      ++one;
    }
  }
}

void service_state::arm(service_effects& out, clock::time_point now) {
  std::optional<clock::time_point> next;
  auto consider = [&](clock::time_point when) {
    if (when > now && (!next || when < *next)) next = when;
  };
  for (const auto& [id, one] : waiters_)
    consider(one.deadline);
  auto live = asked_.size() + count(replica_phase::starting) + ready_count();
  if (live < wanted(now) && !gave_up_) consider(start_after_);
  if (!replicas_.empty()) consider(linger_until_);
  if (next) out.push_back(wake_at{*next});
}

}  // namespace berth::actors
