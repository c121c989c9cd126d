#pragma once
// Buckets: which share of a tag a routing key belongs to.
//
// A tag's split gives each of its versions a share of 10000 buckets. The bucket of a call depends on name, tag and
// routing key alone, so every client and the head agree on it without asking, and a key keeps its bucket for ever:
// a canary that grows takes buckets from the others and gives none back.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace berth::base {

/// Buckets of one tag; weights of a split are counted in them.
inline constexpr std::uint32_t bucket_count = 10000;

namespace detail {

/// FNV-1a over `text`, continued from `state`; the primes are those of the 64-bit variant
/// (draft-eastlake-fnv-17, section 5).
constexpr std::uint64_t fold(std::uint64_t state, std::string_view text) noexcept {
  for (const char c : text) {
    state ^= static_cast<unsigned char>(c);
    state *= 0x100000001b3ULL;
  }
  return state;
}

/// The finaliser of splitmix64 (Steele, Lea, Flood 2014): spreads FNV's weak high bits over all of them.
constexpr std::uint64_t mix(std::uint64_t x) noexcept {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9ULL;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace detail

/// The bucket, 0 … `bucket_count` - 1, of a routing key under `name@tag`. Pure; the same on every machine and in
/// every release, since a canary's keys would jump otherwise. Cost: one multiplication a character.
constexpr std::uint32_t bucket_of(std::string_view name,
                                  std::string_view tag,
                                  std::string_view routing_key) noexcept {
  std::uint64_t state = 0xcbf29ce484222325ULL;
  state = detail::fold(state, name);
  state = detail::fold(state, std::string_view("@", 1));
  state = detail::fold(state, tag);
  state = detail::fold(state, std::string_view("\0", 1));
  state = detail::fold(state, routing_key);
  return static_cast<std::uint32_t>(detail::mix(state) % bucket_count);
}

/// Walks parts in their layout order (anything with a `weight`) and returns the index of the one that owns `bucket`;
/// the size of `parts` when the weights do not reach it.
template <class Parts>
constexpr std::size_t part_of(const Parts& parts, std::uint32_t bucket) noexcept {
  std::uint32_t end = 0;
  std::size_t index = 0;
  for (const auto& part : parts) {
    end += part.weight;
    if (bucket < end) return index;
    ++index;
  }
  return index;
}

}  // namespace berth::base
