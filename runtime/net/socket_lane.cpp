#include "runtime/net/socket_lane.hpp"

#include "runtime/net/pass_fd.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace berth::net {
namespace {

constexpr std::size_t frame_bytes_max = 256 * 1024;  // one frame; also the largest chunk
constexpr std::size_t out_bytes = 2 * frame_bytes_max;
constexpr std::size_t in_bytes = 2 * frame_bytes_max;
constexpr int unsent_bytes_max = 2 * 1024 * 1024;  // about a millisecond of loopback
constexpr std::size_t read_bytes_max =
    32 * 1024;  // bytes of a chunk that are read along are copied once more
constexpr std::size_t descriptors_waiting_max = 64;

class socket_lane final : public lane {
 public:
  socket_lane(base::unique_fd socket, base::unique_fd bell, socket_kind what)
      : socket_(std::move(socket)),
        bell_(std::move(bell)),
        what_(what),
        out_(std::make_unique_for_overwrite<std::byte[]>(out_bytes + frame_align)),
        in_(std::make_unique_for_overwrite<std::byte[]>(in_bytes + frame_align)) {}

  // --- sending: out_[out_begin_, out_end_) waits for the kernel
  std::byte* room(std::size_t bytes) noexcept override {
    if (out_end_ + bytes > out_bytes) {
      write_out();
      compact_out();
      if (out_end_ + bytes > out_bytes) return nullptr;
    }
    return out_at(out_end_);
  }

  void commit(std::size_t bytes) noexcept override { out_end_ += bytes; }

  void publish() noexcept override {
    write_out();
    rang_ = slept_.exchange(false, std::memory_order_relaxed);
  }

  [[nodiscard]] bool unpublished() const noexcept override { return out_begin_ != out_end_; }

  [[nodiscard]] bool has_room_for_bulk() noexcept override { return out_begin_ == out_end_; }

  [[nodiscard]] bool rang() const noexcept override { return rang_; }

  bool send_bulk(const frame_header& header, std::span<const std::byte> body) noexcept override;
  bool send_descriptor(const frame_header& header, int fd) noexcept override;

  // --- receiving: in_[in_begin_, in_end_) was read
  bool ready() noexcept override {
    if (has_something()) return true;
    // The rest of a chunk goes straight to its place (`read_bulk`): look, but leave it in the kernel.
    if (bulk_left_ != 0 && what_ == socket_kind::tcp) return kernel_has_something();
    read_in();
    return has_something();
  }

  look peek(frame_header& header, const std::byte*& body) noexcept override;

  void pop() noexcept override { in_begin_ += taking_; }

  std::size_t read_bulk(std::byte* to, std::size_t size) noexcept override;

  base::unique_fd take_descriptor() noexcept override {
    if (descriptors_.empty()) return {};
    auto first = std::move(descriptors_.front());
    descriptors_.erase(descriptors_.begin());
    return first;
  }

  look peek_aside(frame_header& /*header*/) noexcept override { return look::nothing; }

  // --- sleeping
  void arm(bool /*for_room*/) noexcept override { slept_.store(true, std::memory_order_relaxed); }

  void disarm() noexcept override {}

  [[nodiscard]] int bell() const noexcept override { return bell_.get(); }

  [[nodiscard]] int socket() const noexcept override { return socket_.get(); }

  [[nodiscard]] bool tells_room_by_socket() const noexcept override { return true; }

  void quiet_bell() noexcept override {
    std::uint64_t count;
    static_cast<void>(!::read(bell_.get(), &count, sizeof count));
  }

  void ring_own_bell() noexcept override {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(bell_.get(), &one, sizeof one));
  }

  bool hung_up() noexcept override { return hung_up_; }

  [[nodiscard]] std::size_t frame_max() const noexcept override { return frame_bytes_max; }

  [[nodiscard]] bool passes_descriptors() const noexcept override {
    return what_ == socket_kind::local;
  }

  [[nodiscard]] std::string_view name() const noexcept override {
    return what_ == socket_kind::local ? "unix" : "tcp";
  }

  [[nodiscard]] error_info why() const override {
    if (broken_.empty())
      return fail(kind::disconnected, "peer_gone", "the peer has closed the link");
    return fail(kind::disconnected, "broken_link", "the link broke: " + broken_);
  }

  void hang_up() noexcept override { ::shutdown(socket_.get(), SHUT_RDWR); }

 private:
  // The buffers start so that bodies, 32 bytes after a frame's start, are 32-aligned.
  static std::byte* aligned(const std::unique_ptr<std::byte[]>& of) noexcept {
    const auto at = reinterpret_cast<std::uintptr_t>(of.get());
    return of.get() + ((frame_align - at % frame_align) % frame_align);
  }

  [[nodiscard]] std::byte* out_at(std::size_t offset) const noexcept {
    return aligned(out_) + offset;
  }

  [[nodiscard]] std::byte* in_at(std::size_t offset) const noexcept {
    return aligned(in_) + offset;
  }

  void write_out() noexcept;

  void compact_out() noexcept {
    std::memmove(out_at(0), out_at(out_begin_), out_end_ - out_begin_);
    out_end_ -= std::exchange(out_begin_, 0);
  }

  void keep_for_later(std::span<const std::byte> bytes) noexcept {
    std::memcpy(out_at(out_end_), bytes.data(), bytes.size());
    out_end_ += bytes.size();
  }

  bool has_something() const noexcept {
    const std::size_t there = in_end_ - in_begin_;
    if (hung_up_ || !broken_.empty()) return true;
    if (skip_ != 0 || bulk_left_ != 0) return there != 0;
    if (there < sizeof(frame_header)) return false;
    frame_header header;
    std::memcpy(&header, in_at(in_begin_), sizeof header);
    return header.kind == frame_kind::chunk || header.size > frame_bytes_max
           || there >= frame_bytes(header.size);
  }

  void read_in() noexcept;

  bool kernel_has_something() noexcept {
    std::byte one;
    const auto got = ::recv(socket_.get(), &one, 1, MSG_DONTWAIT | MSG_PEEK);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) note(got == 0 ? 0 : -errno);
    return got > 0 || hung_up_;
  }

  void skip_padding() noexcept {
    const auto now = std::min(skip_, in_end_ - in_begin_);
    in_begin_ += now;
    skip_ -= now;
  }

  look broken(std::string how) {
    broken_ = std::move(how);
    return look::broken;
  }

  void note(long negative_errno) {
    hung_up_ = true;
    const int why = static_cast<int>(-negative_errno);
    if (why == ENOBUFS)
      broken_ = "more descriptors than a link may hold";
    else if (why != 0 && why != ECONNRESET && why != EPIPE)
      broken_ = std::strerror(why);  // NOLINT(concurrency-mt-unsafe)
  }

  base::unique_fd socket_;
  base::unique_fd bell_;
  socket_kind what_;
  std::unique_ptr<std::byte[]> out_;
  std::size_t out_begin_ = 0;
  std::size_t out_end_ = 0;
  bool rang_ = false;
  std::atomic<bool> slept_{true};
  std::unique_ptr<std::byte[]> in_;
  std::size_t in_begin_ = 0;
  std::size_t in_end_ = 0;
  std::size_t taking_ = 0;
  std::size_t bulk_left_ = 0;
  std::size_t bulk_padding_ = 0;
  std::size_t skip_ = 0;  // padding of the chunk that was read last
  std::vector<base::unique_fd> descriptors_;
  bool hung_up_ = false;
  std::string broken_;
};

void socket_lane::write_out() noexcept {
  while (out_begin_ != out_end_) {
    const auto sent = ::send(socket_.get(), out_at(out_begin_), out_end_ - out_begin_,
                             MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) {
      // A dead socket swallows what is left; the reading half finds the end of file.
      if (errno != EAGAIN && errno != ENOBUFS) out_begin_ = out_end_;
      break;
    }
    out_begin_ += static_cast<std::size_t>(sent);
  }
  if (out_begin_ == out_end_) out_begin_ = out_end_ = 0;
}

bool socket_lane::send_bulk(const frame_header& header, std::span<const std::byte> body) noexcept {
  static constexpr std::array<std::byte, frame_align> zeros{};
  write_out();
  if (unpublished()) return false;
  const std::size_t padding = frame_bytes(body.size()) - sizeof header - body.size();
  std::array<iovec, 3> pieces{
      iovec{const_cast<frame_header*>(&header), sizeof header},
      iovec{const_cast<std::byte*>(body.data()), body.size()},
      iovec{const_cast<std::byte*>(zeros.data()), padding},
  };
  msghdr what{};
  what.msg_iov = pieces.data();
  what.msg_iovlen = pieces.size();
  long sent;
  do
    sent = ::sendmsg(socket_.get(), &what, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent < 0) return errno != EAGAIN && errno != ENOBUFS;
  auto left = static_cast<std::size_t>(sent);
  for (const auto& piece : pieces) {  // what the kernel did not take is kept
    const auto* at = static_cast<const std::byte*>(piece.iov_base);
    const auto taken = std::min(left, piece.iov_len);
    left -= taken;
    keep_for_later({at + taken, piece.iov_len - taken});
  }
  return true;
}

bool socket_lane::send_descriptor(const frame_header& header, int fd) noexcept {
  write_out();
  if (unpublished()) return false;
  std::array<std::byte, frame_bytes(0)> frame{};
  write_header(frame.data(), header, 0);
  const long sent = send_with_fds(socket_.get(), frame, std::span(&fd, 1));
  if (sent <= 0) return false;
  keep_for_later(std::span<const std::byte>(frame).subspan(static_cast<std::size_t>(sent)));
  return true;
}

void socket_lane::read_in() noexcept {
  if (in_begin_ == in_end_) {
    in_begin_ = in_end_ = 0;
  } else if (in_begin_ > in_bytes - frame_bytes_max) {
    std::memmove(in_at(0), in_at(in_begin_), in_end_ - in_begin_);
    in_end_ -= std::exchange(in_begin_, 0);
  }
  const auto room = std::min(in_bytes - in_end_, read_bytes_max);
  if (hung_up_ || room == 0) return;
  long got;
  if (what_ == socket_kind::local) {
    got =
        recv_with_fds(socket_.get(), {in_at(in_end_), room}, descriptors_, descriptors_waiting_max);
  } else {
    do
      got = ::recv(socket_.get(), in_at(in_end_), room, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0) got = -errno;
  }
  if (got == -EAGAIN) return;
  if (got <= 0) return note(got);
  in_end_ += static_cast<std::size_t>(got);
}

look socket_lane::peek(frame_header& header, const std::byte*& body) noexcept {
  skip_padding();
  if (skip_ == 0 && bulk_left_ != 0) return look::nothing;
  const std::size_t there = in_end_ - in_begin_;
  if (skip_ == 0 && there >= sizeof header) {
    std::memcpy(&header, in_at(in_begin_), sizeof header);
    if (header.size > frame_bytes_max - sizeof header) return broken("a frame beyond the limit");
    if (header.kind == frame_kind::pad) return broken("a frame without a kind");
    if (header.kind == frame_kind::chunk) {
      in_begin_ += sizeof header;
      if (header.size == 0) return broken("an empty chunk");
      bulk_left_ = header.size;
      bulk_padding_ = frame_bytes(header.size) - sizeof header - header.size;
      return look::bulk;
    }
    taking_ = frame_bytes(header.size);
    if (there >= taking_) {
      body = in_at(in_begin_) + sizeof header;
      return look::frame;
    }
  }
  return hung_up_ || !broken_.empty() ? look::broken : look::nothing;
}

std::size_t socket_lane::read_bulk(std::byte* to, std::size_t size) noexcept {
  size = std::min(size, bulk_left_);
  const std::size_t whole = bulk_left_;
  std::size_t done = std::min(size, in_end_ - in_begin_);
  if (to != nullptr && done != 0) std::memcpy(to, in_at(in_begin_), done);
  in_begin_ += done;
  if (done < size && to != nullptr && what_ == socket_kind::tcp) {
    long got;
    do
      got = ::recv(socket_.get(), to + done, size - done, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got > 0)
      done += static_cast<std::size_t>(got);
    else if (got == 0 || errno != EAGAIN)
      note(got == 0 ? 0 : -errno);
  } else if (done < size) {
    read_in();
  }
  bulk_left_ = whole - done;
  if (bulk_left_ == 0) skip_ = bulk_padding_;
  return done;
}

}  // namespace

result<std::unique_ptr<lane>> make_socket_lane(base::unique_fd socket, socket_kind what) {
  base::unique_fd bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!bell)
    return fail(kind::overloaded, "out_of_descriptors",
                "no descriptor left for a link's bell: raise the limit of open files");
  ::fcntl(socket.get(), F_SETFL, ::fcntl(socket.get(), F_GETFL) | O_NONBLOCK);
  if (what == socket_kind::tcp) {
    const int yes = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_bytes_max,
                 sizeof unsent_bytes_max);
  }
  return std::unique_ptr<lane>(
      std::make_unique<socket_lane>(std::move(socket), std::move(bell), what));
}

}  // namespace berth::net
