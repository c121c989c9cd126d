#include "scheduler/feasible.hpp"

#include <algorithm>
#include <bit>
#include <functional>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace berth::sched {

namespace {

/// Bit i: devices[i] has at least `least`. Eight at a time where the processor can.
std::uint64_t at_least(std::span<const std::uint16_t> devices, std::uint16_t least) {
  std::uint64_t mask = 0;
  std::size_t i = 0;
#if defined(__SSE2__)
  const auto wanted = _mm_set1_epi16(static_cast<short>(least));
  for (; i + 8 <= devices.size(); i += 8) {
    const auto left = _mm_loadu_si128(reinterpret_cast<const __m128i*>(devices.data() + i));
    const auto enough = _mm_cmpeq_epi16(_mm_subs_epu16(wanted, left), _mm_setzero_si128());
    const auto bits = _mm_movemask_epi8(_mm_packs_epi16(enough, _mm_setzero_si128()));
    mask |= static_cast<std::uint64_t>(static_cast<unsigned>(bits)) << i;
  }
#endif
  for (; i < devices.size(); ++i)
    mask |= static_cast<std::uint64_t>(devices[i] >= least) << i;
  return mask;
}

}  // namespace

std::size_t asked_hash::operator()(const asked& of) const noexcept {
  std::size_t h = need_hash{}(of.each) ^ (of.models * 0x9E3779B97F4A7C15ULL);
  for (const auto& wish : of.labels) {
    h = h * 31 + std::hash<std::string>{}(wish.key) + static_cast<std::size_t>(wish.how);
    for (const auto& value : wish.values)
      h = h * 31 + std::hash<std::string>{}(value);
  }
  return h;
}

asked compile(const inventory& nodes, const demand& wanted) {
  asked made{wanted.each, nodes.model_mask(wanted.models), {}};
  for (const auto& wish : wanted.labels)
    if (wish.force == strength::required) made.labels.push_back(wish);
  return made;
}

bool satisfies(const inventory& nodes, node_id node, const label_wish& wish) {
  const auto& labels = nodes.labels(node);
  const auto own = labels.find(wish.key);
  const bool among =
      own != labels.end()
      && std::find(wish.values.begin(), wish.values.end(), own->second) != wish.values.end();
  return among == (wish.how == label_wish::sense::among);
}

std::uint64_t usable_devices(const inventory& nodes, const asked& of, node_id node) {
  const auto milli = nodes.milli(node);
  auto mask = at_least(milli, of.each.gpu_milli);
  const auto& kind = nodes.kind(node);
  if (kind.mixed)
    for (std::size_t i = 0; i < milli.size(); ++i)
      if ((of.models >> kind.model[i] & 1) == 0) mask &= ~(std::uint64_t{1} << i);
  if (of.each.device_memory_mib > 0) {
    const auto memory = nodes.device_memory(node);
    for (std::size_t i = 0; i < memory.size(); ++i)
      if (memory[i] < of.each.device_memory_mib) mask &= ~(std::uint64_t{1} << i);
  }
  return mask;
}

bool has_room(const inventory& nodes, const asked& of, node_id node) {
  const auto& row = nodes.row(node);
  if (row.cpu_milli < of.each.cpu_milli || row.memory_mib < of.each.memory_mib) return false;
  if (of.each.gpus == 0) return true;
  const auto& kind = nodes.kind(node);
  if (row.devices < of.each.gpus || (kind.models & of.models) == 0) return false;
  if (of.each.gpu_milli == 1000) {
    if (nodes.idle(node) < of.each.gpus) return false;
    if (!kind.mixed && of.each.device_memory_mib == 0) return true;
  }
  const auto usable = usable_devices(nodes, of, node);
  return of.each.gpus == 1 ? usable != 0 : std::popcount(usable) >= of.each.gpus;
}

bool feasible(const inventory& nodes, const asked& of, node_id node) {
  if (nodes.row(node).flags != 0 || !has_room(nodes, of, node)) return false;
  return std::all_of(of.labels.begin(), of.labels.end(),
                     [&](const label_wish& wish) { return satisfies(nodes, node, wish); });
}

std::uint64_t best_fit_devices(const inventory& nodes, const asked& of, node_id node) {
  if (of.each.gpus == 0) return 0;
  auto usable = usable_devices(nodes, of, node);
  const auto milli = nodes.milli(node);
  std::uint64_t chosen = 0;
  for (std::uint16_t taken = 0; taken < of.each.gpus && usable != 0; ++taken) {
    auto best = static_cast<std::size_t>(std::countr_zero(usable));
    for (auto left = usable; left != 0; left &= left - 1)
      if (const auto at = static_cast<std::size_t>(std::countr_zero(left)); milli[at] < milli[best])
        best = at;
    chosen |= std::uint64_t{1} << best;
    usable &= ~(std::uint64_t{1} << best);
  }
  return chosen;
}

}  // namespace berth::sched
