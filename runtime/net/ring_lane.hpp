#pragma once
// The ring lane: two rings in one sealed memory file, an event descriptor each way as bell, and the Unix socket beside
// them for descriptors and end of file. The class is in the header so that a channel over a ring calls it directly.

#include "runtime/base/memory_file.hpp"
#include "runtime/net/lane.hpp"
#include "runtime/net/pass_fd.hpp"
#include "runtime/net/ring.hpp"

#include <array>
#include <atomic>
#include <berth/error.hpp>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace berth::net {

/// Wakes who waits for the event descriptor; 0.35 µs.
inline void ring_bell(int bell) noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(bell, &one, sizeof one));  // a full counter rings as well
}

class ring_lane final : public lane {
 public:
  static constexpr std::size_t descriptors_waiting_max = 64;

  ring_lane(base::mapping memory,
            std::uint32_t ring_bytes,
            unsigned sends_in,
            base::unique_fd mine,
            base::unique_fd theirs,
            base::unique_fd socket)
      : memory_(std::move(memory)),
        out_(ring_in(memory_.data(), ring_bytes, sends_in)),
        in_(ring_in(memory_.data(), ring_bytes, 1 - sends_in)),
        frame_max_(ring_bytes / 4),
        my_bell_(std::move(mine)),
        their_bell_(std::move(theirs)),
        socket_(std::move(socket)) {}

  std::byte* room(std::size_t bytes) noexcept override { return out_.room(bytes); }

  void commit(std::size_t bytes) noexcept override { out_.commit(bytes); }

  void publish() noexcept override {
    rang_ = out_.publish();
    if (!rang_) return;
    bells_.store(bells_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    ring_bell(their_bell_.get());
  }

  [[nodiscard]] bool unpublished() const noexcept override { return out_.unpublished(); }

  [[nodiscard]] bool has_room_for_bulk() noexcept override { return out_.half_empty(); }

  [[nodiscard]] bool rang() const noexcept override { return rang_; }

  bool send_bulk(const frame_header& header, std::span<const std::byte> body) noexcept override {
    std::byte* at = out_.half_empty() ? out_.room(frame_bytes(body.size())) : nullptr;
    if (at == nullptr) return false;
    std::memcpy(at, &header, sizeof header);
    std::memcpy(at + sizeof header, body.data(), body.size());
    out_.commit(frame_bytes(body.size()));
    return true;
  }

  bool send_descriptor(const frame_header& header, int fd) noexcept override {
    const auto bytes = std::as_bytes(std::span(&header, 1));
    return send_with_fds(socket_.get(), bytes, std::span(&fd, 1)) == sizeof header;
  }

  bool ready() noexcept override { return in_.ready(); }

  look peek(frame_header& header, const std::byte*& body) noexcept override {
    switch (in_.peek(header, body)) {
      case ring_consumer::found::nothing:
        return look::nothing;
      case ring_consumer::found::frame:
        return header.size <= frame_max_ - sizeof header ? look::frame
                                                         : broken("a frame beyond the limit");
      default:
        return broken("positions or lengths that cannot be");
    }
  }

  void pop() noexcept override {
    in_.pop();
    if (in_.must_wake_producer()) ring_bell(their_bell_.get());
  }

  base::unique_fd take_descriptor() noexcept override {
    if (descriptors_.empty()) return {};
    auto first = std::move(descriptors_.front());
    descriptors_.erase(descriptors_.begin());
    return first;
  }

  look peek_aside(frame_header& header) noexcept override {
    while (aside_bytes_ < sizeof header) {
      const auto rest = std::span(aside_).subspan(aside_bytes_);
      const long got = recv_with_fds(socket_.get(), rest, descriptors_, descriptors_waiting_max);
      if (got == -EAGAIN) return look::nothing;
      if (got == -ENOBUFS) return broken("more descriptors than a link may hold");
      if (got <= 0) {
        hung_up_ = true;
        return look::nothing;
      }
      aside_bytes_ += static_cast<std::size_t>(got);
    }
    std::memcpy(&header, aside_.data(), sizeof header);
    aside_bytes_ = 0;
    return look::frame;
  }

  void arm(bool for_room) noexcept override {
    if (for_room) out_.want_room();
    in_.arm();
    if (in_.check_producer()) ring_bell(their_bell_.get());
  }

  void disarm() noexcept override {
    in_.disarm();
    out_.have_room();
  }

  [[nodiscard]] int bell() const noexcept override { return my_bell_.get(); }

  [[nodiscard]] int socket() const noexcept override { return socket_.get(); }

  [[nodiscard]] bool tells_room_by_socket() const noexcept override { return false; }

  void quiet_bell() noexcept override {
    std::uint64_t count;
    static_cast<void>(!::read(my_bell_.get(), &count, sizeof count));
  }

  void ring_own_bell() noexcept override { ring_bell(my_bell_.get()); }

  bool hung_up() noexcept override {
    if (hung_up_) return true;
    std::byte one;
    const auto got = ::recv(socket_.get(), &one, 1, MSG_DONTWAIT | MSG_PEEK);
    hung_up_ = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
    return hung_up_;
  }

  [[nodiscard]] std::uint32_t peer_cpu() const noexcept override { return out_.consumer_cpu(); }

  void tell_cpu() noexcept override { in_.tell_cpu(base::current_cpu()); }

  [[nodiscard]] std::size_t frame_max() const noexcept override { return frame_max_; }

  [[nodiscard]] bool passes_descriptors() const noexcept override { return true; }

  [[nodiscard]] std::string_view name() const noexcept override { return "ring"; }

  [[nodiscard]] error_info why() const override {
    return fail(kind::disconnected, "broken_link",
                std::string("the peer broke the rules of the ring: ") + broken_);
  }

  void hang_up() noexcept override { ::shutdown(socket_.get(), SHUT_RDWR); }

  [[nodiscard]] std::uint64_t bells_rung() const noexcept override {
    return bells_.load(std::memory_order_relaxed);
  }

 private:
  look broken(const char* how) noexcept {
    broken_ = how;
    return look::broken;
  }

  base::mapping memory_;
  ring_producer out_;
  ring_consumer in_;
  std::size_t frame_max_;
  bool rang_ = false;
  bool hung_up_ = false;
  std::atomic<std::uint64_t> bells_{0};
  const char* broken_ = "";
  std::array<std::byte, sizeof(frame_header)> aside_{};
  std::size_t aside_bytes_ = 0;
  std::vector<base::unique_fd> descriptors_;
  base::unique_fd my_bell_;
  base::unique_fd their_bell_;
  base::unique_fd socket_;
};

/// What the connecting side makes and offers in its hello. A resource.
struct ring_offer {
  base::memory_file memory;
  base::unique_fd bell_of_caller;  ///< wakes the connecting side
  base::unique_fd bell_of_server;
  std::uint32_t ring_bytes = 0;
};

/// Errors: those of `make_memory_file`; `invalid` for a size that is no power of two in the allowed range.
[[nodiscard]] result<ring_offer> make_ring_offer(std::uint32_t ring_bytes);

/// The connecting side's lane over its own offer.
[[nodiscard]] std::unique_ptr<lane> make_ring_lane(ring_offer offer, base::unique_fd socket);

/// The serving side's lane over what it received, checked: memory file, seals, size, and that the bells are event
/// descriptors. Takes the descriptors over in any case; the socket only when it succeeds. Errors: `invalid`.
[[nodiscard]] result<std::unique_ptr<lane>> adopt_ring_lane(base::unique_fd memory,
                                                            base::unique_fd bell_of_caller,
                                                            base::unique_fd bell_of_server,
                                                            std::uint32_t ring_bytes,
                                                            base::unique_fd& socket);

}  // namespace berth::net
