#pragma once
// A greeting: an accepted socket that is not a link yet, read without blocking until its hello is whole.

#include "runtime/base/clock.hpp"
#include "runtime/base/unique_fd.hpp"
#include "runtime/net/endpoint.hpp"
#include "runtime/net/hello.hpp"
#include "runtime/net/lane.hpp"

#include <array>
#include <berth/error.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace berth::net {

/// What the serving side grants.
struct terms {
  std::string program;
  std::uint32_t credits = 0;
  bool offers_ring = true;
};

/// The serving side's half of the hello. A resource.
class greeting {
 public:
  greeting(accepted socket, base::time_point deadline);

  enum class progress : std::uint8_t { waits, welcomed, refused };
  /// Reads what is there. `welcomed`: `lane()` and `peer()` are ready and the peer was told. `refused`: the peer was told
  /// why, as far as it listens.
  [[nodiscard]] progress go_on(const terms& ours);
  /// Tells the peer why there will be no link.
  void refuse(const error_info& why);

  [[nodiscard]] std::unique_ptr<lane> take_lane() noexcept { return std::move(lane_); }

  [[nodiscard]] const peer_facts& peer() const noexcept { return peer_; }

  [[nodiscard]] base::time_point deadline() const noexcept { return deadline_; }

  [[nodiscard]] int socket() const noexcept { return socket_.socket.get(); }

 private:
  [[nodiscard]] result<bool> read();
  [[nodiscard]] result<void> answer(const terms& ours);
  [[nodiscard]] std::string choose_lane(const hello& theirs, const terms& ours);

  accepted socket_;
  base::time_point deadline_;
  peer_facts peer_;
  std::unique_ptr<lane> lane_;
  std::array<std::byte, greeting_prefix_bytes + greeting_bytes_max> bytes_{};
  std::size_t got_ = 0;
  std::size_t want_ = greeting_prefix_bytes;
  std::vector<base::unique_fd> descriptors_;
};

}  // namespace berth::net
