#pragma once
// Device masks: bit i stands for device i of a node.

#include <cstdint>

namespace berth::sched {

/// The `count` lowest devices of a mask; all of it when it has fewer.
[[nodiscard]] constexpr std::uint64_t lowest_devices(std::uint64_t mask,
                                                     std::uint16_t count) noexcept {
  auto rest = mask;
  for (; count > 0 && rest != 0; --count)
    rest &= rest - 1;
  return mask & ~rest;
}

}  // namespace berth::sched
