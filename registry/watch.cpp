#include "registry/watch.hpp"

#include "runtime/base/ensure.hpp"

#include <algorithm>

namespace berth::registry {

void watch_hub::add(std::uint64_t watcher, std::string prefix, std::uint64_t from_revision) {
  auto [at, fresh] = watchers_.try_emplace(watcher);
  base::ensure(fresh, "a watcher's id is its own");
  at->second.prefix = std::move(prefix);
  at->second.next = std::max<std::uint64_t>(from_revision, 1);
}

void watch_hub::remove(std::uint64_t watcher) {
  watchers_.erase(watcher);
}

void watch_hub::taken(std::uint64_t watcher, std::uint64_t rows) {
  auto found = watchers_.find(watcher);
  if (found == watchers_.end()) return;
  found->second.in_flight -= std::min(found->second.in_flight, rows);
}

watch_push watch_hub::advance(std::uint64_t watcher,
                              cursor& at,
                              std::span<const change> log) const {
  watch_push push;
  push.watcher = watcher;
  while (at.next <= log.size()) {
    const auto& row = log[at.next - 1];
    bool starts_group = row.group == row.revision;
    if (starts_group && at.in_flight >= limits_.rows_in_flight_max) break;
    if (row.name.starts_with(at.prefix)) {
      push.rows.push_back(row);
      ++at.in_flight;
    }
    ++at.next;
  }
  push.last = at.next - 1;
  push.cut = log.size() > push.last && log.size() - push.last > limits_.lag_max;
  return push;
}

std::vector<watch_push> watch_hub::pump(std::span<const change> log) {
  std::vector<watch_push> out;
  for (auto one = watchers_.begin(); one != watchers_.end();) {
    auto push = advance(one->first, one->second, log);
    bool cut = push.cut;
    if (cut || !push.rows.empty()) out.push_back(std::move(push));
    one = cut ? watchers_.erase(one) : std::next(one);
  }
  return out;
}

}  // namespace berth::registry
