#include "scheduler/calendar.hpp"

#include <algorithm>

namespace berth::sched {
namespace {

bool stands_in_the_way(const bar& one, instant now, std::optional<instant> end) {
  const bool over = one.until && *one.until <= now;
  return !over && (!end || *end > one.from);
}

}  // namespace

void calendar::remove(bar::reason why, std::uint64_t owner) {
  std::erase_if(bars_, [&](const bar& one) { return one.why == why && one.owner == owner; });
}

bool calendar::admits(node_id node, instant now, std::optional<instant> end) const {
  return std::none_of(bars_.begin(), bars_.end(), [&](const bar& one) {
    return one.node == node && stands_in_the_way(one, now, end);
  });
}

const node_mask* calendar::mask(std::size_t nodes,
                                instant now,
                                std::optional<instant> end,
                                std::optional<std::uint64_t> except) {
  mask_.resize(nodes + score_mask_padding, 0xFF);
  for (const auto node : patched_)
    mask_[node] = 0xFF;
  patched_.clear();
  for (const auto& one : bars_) {
    if (one.why == bar::reason::promise && except == one.owner) continue;
    if (one.node >= nodes || !stands_in_the_way(one, now, end)) continue;
    mask_[one.node] = 0;
    patched_.push_back(one.node);
  }
  return patched_.empty() ? nullptr : &mask_;
}

}  // namespace berth::sched
