#include "runtime/net/segments.hpp"

#include <algorithm>
#include <utility>

namespace berth::net {

std::optional<lent_segments::loan> lent_segments::take_idle(std::uint64_t bytes) {
  auto best = entries_.end();
  for (auto at = entries_.begin(); at != entries_.end(); ++at) {
    const auto& one = at->second;
    const bool fits = one.ours && one.loans == 0 && one.bytes >= bytes && one.bytes / 2 <= bytes;
    if (fits && (best == entries_.end() || one.bytes < best->second.bytes)) best = at;
  }
  if (best == entries_.end()) return std::nullopt;
  auto& one = best->second;
  idle_bytes_ -= one.bytes;
  one.loans = 1;
  one.last_use = ++uses_;
  return loan{best->first, one.ours->writable()};
}

std::optional<lent_segments::loan> lent_segments::add(std::shared_ptr<base::segment> ours,
                                                      lane& over) {
  const auto id = announce(*ours, over);
  if (!id) return std::nullopt;
  std::byte* to = ours->writable();
  entry one;
  one.segment_id = ours->id();
  one.bytes = ours->size();
  one.ours = std::move(ours);
  one.loans = 1;
  one.last_use = ++uses_;
  entries_.emplace(*id, std::move(one));
  return loan{*id, to};
}

std::optional<std::uint32_t> lent_segments::lend(const std::shared_ptr<const base::segment>& theirs,
                                                 lane& over) {
  const auto known = by_segment_.find(theirs->id());
  std::uint32_t id;
  if (known != by_segment_.end()) {
    id = known->second;
  } else {
    const auto fresh = announce(*theirs, over);
    if (!fresh) return std::nullopt;
    id = *fresh;
    by_segment_.emplace(theirs->id(), id);
  }
  auto& one = entries_[id];
  one.segment_id = theirs->id();
  one.bytes = theirs->size();
  one.held = theirs;
  one.known = theirs;
  ++one.loans;
  one.last_use = ++uses_;
  return id;
}

bool lent_segments::give_back(std::uint32_t id) {
  const auto found = entries_.find(id);
  if (found == entries_.end() || found->second.loans == 0) return false;
  auto& one = found->second;
  if (--one.loans != 0) return true;
  if (!one.ours) {
    one.held.reset();  // its owner may let go of it now
    if (one.known.expired()) forget(found);
    return true;
  }
  idle_bytes_ += one.bytes;
  while (idle_bytes_ > segment_idle_bytes_max) {
    const auto victim = oldest_idle();
    if (victim == entries_.end()) break;
    forget(victim);
  }
  return true;
}

std::vector<std::uint32_t> lent_segments::take_dropped() {
  return std::exchange(dropped_, {});
}

std::optional<std::uint32_t> lent_segments::announce(const base::segment& what, lane& over) {
  if (!over.passes_descriptors() || what.fd() < 0 || !make_place()) return std::nullopt;
  frame_header head;
  head.kind = frame_kind::segment;
  head.call = ++last_id_;
  head.revision = what.size();
  if (!over.send_descriptor(head, what.fd())) return std::nullopt;
  ++announced_;
  return last_id_;
}

bool lent_segments::make_place() {
  for (auto at = entries_.begin(); at != entries_.end();) {
    const auto next = std::next(at);
    if (!at->second.ours && at->second.loans == 0 && at->second.known.expired()) forget(at);
    at = next;
  }
  if (entries_.size() < segments_live_max) return true;
  const auto victim = oldest_idle();
  if (victim == entries_.end()) return false;
  forget(victim);
  return true;
}

lent_segments::table::iterator lent_segments::oldest_idle() {
  auto oldest = entries_.end();
  for (auto at = entries_.begin(); at != entries_.end(); ++at)
    if (at->second.loans == 0
        && (oldest == entries_.end() || at->second.last_use < oldest->second.last_use))
      oldest = at;
  return oldest;
}

void lent_segments::forget(table::iterator which) {
  if (which->second.ours) idle_bytes_ -= which->second.bytes;
  by_segment_.erase(which->second.segment_id);
  dropped_.push_back(which->first);
  entries_.erase(which);
}

result<void> borrowed_segments::announced(const frame_header& what, base::unique_fd fd) {
  if (!fd) return fail(kind::invalid, "no_descriptor", "a segment came without its descriptor");
  // Twice the limit: a `drop` travels in the lane, an announcement may overtake it beside the lane.
  if (known_.size() >= 2 * segments_live_max)
    return fail(kind::invalid, "too_many_segments", "a peer announced more than 64 live segments");
  const auto id = static_cast<std::uint32_t>(what.call);
  if (what.call != id || known_.contains(id))
    return fail(kind::invalid, "segment_id", "a segment was announced twice");
  if (what.revision > bytes_max_ - bytes_)
    return fail(kind::overloaded, "segment_bytes",
                "a peer announced more shared memory than this link may map");
  auto mapped = base::segment::adopt(std::move(fd), what.revision);
  if (!mapped) return std::move(mapped).error();
  bytes_ += what.revision;
  ++count_ever_;
  known_.emplace(id, *std::move(mapped));
  return {};
}

std::shared_ptr<base::segment> borrowed_segments::find(std::uint32_t id) const {
  const auto found = known_.find(id);
  return found == known_.end() ? nullptr : found->second;
}

void borrowed_segments::drop(std::uint32_t id) {
  const auto found = known_.find(id);
  if (found == known_.end()) return;
  bytes_ -= found->second->size();
  known_.erase(found);
}

}  // namespace berth::net
