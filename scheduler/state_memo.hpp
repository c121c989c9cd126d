#pragma once
// Remembers the value of node states, so that equal nodes are thought about once.
//
// The key of a state is a 64-bit hash that does not depend on the order of the devices: the sum of a hash per device, so
// the key of "the same with 300 milli less on one device" is two additions away. Two states with one key would have to
// collide in 64 bits; the table takes that chance. Direct-mapped: a newer state replaces an older one in its place.

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace berth::sched {

class state_memo {
 public:
  explicit state_memo(std::size_t entries_log2) : entries_(std::size_t{1} << entries_log2) {}

  /// The remembered value, or `compute()`, remembered.
  template <class Compute>
  std::int32_t value(std::uint64_t key, Compute&& compute) {
    key = mixed(key) | 1;
    auto& entry = entries_[key >> 32 & (entries_.size() - 1)];
    const auto low = static_cast<std::uint32_t>(key);
    const auto high = static_cast<std::uint32_t>(key >> 32);
    if (entry.low == low && entry.high == high) return entry.value;
    entry = {low, high, compute()};
    return entry.value;
  }

  void clear() { entries_.assign(entries_.size(), {}); }

  [[nodiscard]] std::size_t bytes() const noexcept { return entries_.size() * sizeof(entry); }

  /// A good hash of a small number (splitmix64).
  [[nodiscard]] static std::uint64_t mixed(std::uint64_t z) {
    z += 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }

 private:
  struct entry {
    std::uint32_t low = 0;  ///< 0 in an empty entry; keys are odd
    std::uint32_t high = 0;
    std::int32_t value = 0;
  };

  std::vector<entry> entries_;
};

}  // namespace berth::sched
