#pragma once
// The assembly: messages whose bodies or payloads arrive in chunks, until they are whole.
//
// Everything a peer announces is bounded before memory is taken: each message, all of them together, and their number.
// Memory is taken without being touched, so that a peer pays for what it sends, not for what it announces.
// Not thread-safe: used by whoever reads the link.

#include "runtime/base/clock.hpp"
#include "runtime/net/frame.hpp"
#include "runtime/net/message.hpp"

#include <berth/error.hpp>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

namespace berth::net {

/// Large blocks of memory that are used again while they are warm. Threads: any. Held by `std::shared_ptr`.
class block_pool : public std::enable_shared_from_this<block_pool> {
 public:
  explicit block_pool(std::uint64_t idle_bytes_max) : idle_bytes_max_(idle_bytes_max) {}

  /// Room for `bytes`, undefined content, back in the pool when the last copy goes. Null when memory is out.
  [[nodiscard]] std::shared_ptr<std::byte[]> take(std::uint64_t bytes);

 private:
  using block = std::unique_ptr<std::byte[]>;
  void give_back(std::uint64_t size, block one);
  const std::uint64_t idle_bytes_max_;
  std::mutex mutex_;
  std::multimap<std::uint64_t, block> idle_;
  std::uint64_t idle_bytes_ = 0;
};

class assembly {
 public:
  struct limits {
    std::uint64_t message_bytes = message_bytes_max;
    std::uint64_t bytes_in_all = std::uint64_t{8} << 30;
    std::size_t transfers = 4096;
  };

  explicit assembly(limits bounds)
      : bounds_(bounds), pool_(std::make_shared<block_pool>(std::uint64_t{256} << 20)) {}

  /// A message that waits for its transfers.
  struct unfinished {
    message what;
    base::time_point since;
    std::size_t waits_for = 0;
    bool unwanted = false;
  };

  using place = std::list<unfinished>::iterator;

  [[nodiscard]] place begin(message what);
  /// Announces the transfer that fills the body (`external` empty) or that external payload. Errors: `invalid`.
  [[nodiscard]] result<void> expect(place of,
                                    std::uint32_t transfer,
                                    std::uint64_t size,
                                    std::optional<std::size_t> external);

  /// Where the next `size` bytes of this transfer go. Errors: `invalid` (unknown, out of order, too many bytes).
  [[nodiscard]] result<std::byte*> next(std::uint32_t transfer,
                                        std::uint64_t offset,
                                        std::uint64_t size);
  /// `size` bytes have arrived there; returns the message when this made it whole.
  [[nodiscard]] std::optional<message> arrived(std::uint32_t transfer, std::uint64_t size);

  /// The call was cancelled while it arrives: what is still to come of it is taken and dropped. False: no such call
  /// arrives now.
  bool drop(std::uint64_t call) noexcept;

  /// The pool its payloads lie in. Threads: any.
  [[nodiscard]] block_pool& blocks() noexcept { return *pool_; }

  /// A message that waits for nothing (all its payloads are there already). Its deadline counts from its first frame.
  [[nodiscard]] message finish(place of);

 private:
  struct incoming {
    place of;
    std::byte* to = nullptr;
    std::uint64_t size = 0;
    std::uint64_t got = 0;
    std::shared_ptr<std::byte[]> block;
  };

  limits bounds_;
  std::shared_ptr<block_pool> pool_;
  std::list<unfinished> messages_;
  std::map<std::uint32_t, incoming> transfers_;
  std::uint64_t bytes_expected_ = 0;
};

}  // namespace berth::net
