#include "actors/node_state.hpp"

#include <fmt/format.h>

namespace berth::actors {

node_effects node_state::order(replica_order what, clock::time_point now) {
  node_effects out;
  auto id = what.replica;
  one fresh;
  fresh.deadline = now + limits_.load_max + std::chrono::milliseconds(what.health_ms_max);
  fresh.title = fmt::format("{}@{}", what.name, what.version);
  if (!replicas_.emplace(id, std::move(fresh)).second) return out;
  out.push_back(host_start{std::move(what)});
  arm(out, now);
  return out;
}

node_effects node_state::refused(std::uint64_t replica,
                                 const error_info& why,
                                 clock::time_point now) {
  replica_event event;
  event.replica = replica;
  event.happened = replica_event::what::unfit;
  event.why = why;
  auto out = happened(event, now);
  event.happened = replica_event::what::ended;
  for (auto& more : happened(event, now))
    out.push_back(std::move(more));
  return out;
}

node_effects node_state::happened(const replica_event& event, clock::time_point now) {
  node_effects out;
  auto found = replicas_.find(event.replica);
  if (found == replicas_.end()) return out;
  auto& known = found->second;
  switch (event.happened) {
    case replica_event::what::started:
      break;
    case replica_event::what::ready:
      if (known.phase != replica_phase::starting) return out;
      known.phase = replica_phase::ready;
      known.deadline.reset();
      break;
    case replica_event::what::unfit:
      known.phase = replica_phase::draining;
      known.deadline = now + std::chrono::seconds(2);  // it says it ends; made sure of
      break;
    case replica_event::what::ended:
      replicas_.erase(found);
      break;
  }
  out.push_back(tell_cluster{event});
  arm(out, now);
  return out;
}

node_effects node_state::drain(std::uint64_t replica,
                               std::chrono::milliseconds patience,
                               clock::time_point now) {
  node_effects out;
  auto found = replicas_.find(replica);
  if (found == replicas_.end() || found->second.killed) return out;
  auto& known = found->second;
  if (known.phase == replica_phase::starting || patience.count() == 0) {
    known.killed = true;
    out.push_back(host_kill{replica});  // nothing runs in it yet
    return out;
  }
  known.phase = replica_phase::draining;
  known.deadline = now + patience;
  out.push_back(host_drain{replica, patience});
  arm(out, now);
  return out;
}

node_effects node_state::tick(clock::time_point now) {
  node_effects out;
  for (auto& [id, known] : replicas_) {
    if (!known.deadline || now < *known.deadline || known.killed) continue;
    known.killed = true;
    if (known.phase == replica_phase::starting) {
      replica_event event;
      event.replica = id;
      event.happened = replica_event::what::unfit;
      event.why = fail(kind::timed_out, "never_ready",
                       fmt::format("{} did not become ready in time and was ended", known.title));
      out.push_back(tell_cluster{event});
    }
    out.push_back(host_kill{id});
  }
  arm(out, now);
  return out;
}

void node_state::arm(node_effects& out, clock::time_point now) const {
  std::optional<clock::time_point> next;
  for (const auto& [id, known] : replicas_)
    if (known.deadline && !known.killed && *known.deadline > now
        && (!next || *known.deadline < *next))
      next = known.deadline;
  if (next) out.push_back(wake_at{*next});
}

}  // namespace berth::actors
