#pragma once
// Segments on a link: shared memory that one side lends and the other reads in place.
//
// The lender announces a segment once, with its descriptor, and then names it by a small id; the borrower maps it
// read-only, closes the descriptor and keeps the mapping. Each payload in it is one loan, given back by a `release`
// frame. The lender keeps segments it filled for its own payloads and fills them again: their pages are warm on both
// sides. At most `segments_live_max` are announced at a time, which also bounds the descriptors in flight.

#include "runtime/base/segment.hpp"
#include "runtime/net/frame.hpp"
#include "runtime/net/lane.hpp"

#include <berth/error.hpp>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

namespace berth::net {

inline constexpr std::size_t segments_live_max = 64;
/// What a link keeps of its own segments while nothing is lent.
inline constexpr std::uint64_t segment_idle_bytes_max = std::uint64_t{1} << 30;

/// Where one external payload lies; a table of these follows the block in the body. A value, as on the wire.
struct external_place {
  enum class way : std::uint32_t { segment = 1, transfer = 2 };
  way how = way::segment;
  std::uint32_t id = 0;      ///< of the segment or transfer
  std::uint64_t offset = 0;  ///< in the segment; 0 for transfers
  std::uint64_t size = 0;
};

static_assert(sizeof(external_place) == 24);

/// The lending half. Used under the channel's send lock.
class lent_segments {
 public:
  /// A segment of our own to fill: the loan has begun.
  struct loan {
    std::uint32_t id = 0;
    std::byte* to = nullptr;
  };

  /// An idle one that was announced before and fits.
  [[nodiscard]] std::optional<loan> take_idle(std::uint64_t bytes);
  /// Announces a new one of our own and begins its loan. Nothing when the limit is reached or the lane takes no
  /// descriptor now: then the payload travels in chunks.
  [[nodiscard]] std::optional<loan> add(std::shared_ptr<base::segment> ours, lane& over);
  /// Begins a loan of somebody's segment, announcing it at its first.
  [[nodiscard]] std::optional<std::uint32_t> lend(
      const std::shared_ptr<const base::segment>& theirs, lane& over);
  /// The borrower gave one loan back, or it was never sent. False: there was none.
  bool give_back(std::uint32_t id);
  /// Ids the borrower shall forget, since the last call.
  [[nodiscard]] std::vector<std::uint32_t> take_dropped();

  [[nodiscard]] std::uint64_t announced() const noexcept { return announced_; }

 private:
  struct entry {
    std::shared_ptr<const base::segment> held;  // ours always; theirs while lent
    std::weak_ptr<const base::segment> known;
    std::shared_ptr<base::segment> ours;
    std::uint64_t segment_id = 0;
    std::uint64_t bytes = 0;
    std::uint32_t loans = 0;
    std::uint64_t last_use = 0;
  };

  using table = std::map<std::uint32_t, entry>;
  [[nodiscard]] std::optional<std::uint32_t> announce(const base::segment& what, lane& over);
  bool make_place();
  void forget(table::iterator which);
  [[nodiscard]] table::iterator oldest_idle();

  table entries_;
  std::unordered_map<std::uint64_t, std::uint32_t> by_segment_;
  std::vector<std::uint32_t> dropped_;
  std::uint64_t idle_bytes_ = 0;
  std::uint64_t uses_ = 0;
  std::uint64_t announced_ = 0;
  std::uint32_t last_id_ = 0;
};

/// The borrowing half. Used by whoever reads the link.
class borrowed_segments {
 public:
  explicit borrowed_segments(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  /// Takes in an announcement. Errors: `invalid` (no descriptor, unsealed, wrong size, too many, known already);
  /// `overloaded` (beyond the byte budget of this peer).
  [[nodiscard]] result<void> announced(const frame_header& what, base::unique_fd fd);
  [[nodiscard]] std::shared_ptr<base::segment> find(std::uint32_t id) const;
  void drop(std::uint32_t id);

  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

  [[nodiscard]] std::uint64_t count_ever() const noexcept { return count_ever_; }

 private:
  const std::uint64_t bytes_max_;
  std::unordered_map<std::uint32_t, std::shared_ptr<base::segment>> known_;
  std::uint64_t bytes_ = 0;
  std::uint64_t count_ever_ = 0;
};

}  // namespace berth::net
