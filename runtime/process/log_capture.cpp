#include "runtime/process/log_capture.hpp"

#include "runtime/process/lifeline.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <iostream>
#include <mutex>
#include <poll.h>
#include <pthread.h>
#include <streambuf>
#include <string>
#include <string_view>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace berth::process {
namespace {

// A line that has no newline yet. Plain memory: a signal handler reads it.
struct open_line {
  std::size_t size = 0;
  std::array<char, log_line_bytes_max> text;

  [[nodiscard]] std::string_view view() const { return {text.data(), size}; }

  // Takes as much of `chunk` as belongs to this line and fits; what follows is handed to `emit(open)`.
  template <class Emit>
  void take(std::string_view chunk, const Emit& emit) {
    while (!chunk.empty()) {
      const auto newline = chunk.find('\n');
      const auto room = text.size() - size;
      const auto part = std::min({newline, room, chunk.size()});
      std::memcpy(text.data() + size, chunk.data(), part);
      size += part;
      const bool ended = newline == part;
      chunk.remove_prefix(part + (ended ? 1 : 0));
      if (ended || size == text.size()) {
        emit(view(), !ended);
        size = 0;
      }
    }
  }
};

using line_pair = std::array<open_line, 2>;  // out, err

constexpr std::size_t index_of(log_stream stream) {
  return stream == log_stream::out ? 0 : 1;
}

constexpr log_stream stream_at(std::size_t index) {
  return index == 0 ? log_stream::out : log_stream::err;
}

constinit thread_local call_tag current_tag{};
constinit thread_local line_pair* current_lines = nullptr;
constinit thread_local bool in_hook = false;

}  // namespace

class log_capture::impl {
 public:
  impl(log_writer& ring, log_hook hook) : ring_(ring), hook_(std::move(hook)) {}

  result<void> begin();
  void end() noexcept;

  void emit(log_stream stream, call_tag tag, std::string_view text, bool open) noexcept;
  void observe(call_tag tag) noexcept;
  void settle() noexcept;
  void flush_from_handler() noexcept;

  [[nodiscard]] bool observes(std::uint64_t call) const noexcept {
    return call != 0 && observed_call_.load(std::memory_order_relaxed) == call;
  }

 private:
  struct raw {
    pipe_ends ends;
    base::unique_fd saved;  // what the descriptor was before
    open_line line;
  };

  [[nodiscard]] bool pipes_empty() const noexcept;
  void drain(raw& from, log_stream stream) noexcept;
  void complete_raw_lines() noexcept;
  void read_pipes() noexcept;
  void swap_streams() noexcept;
  void restore_streams() noexcept;

  log_writer& ring_;
  log_hook hook_;
  std::array<raw, 2> raw_;
  base::unique_fd wake_;
  std::thread reader_;
  std::mutex pipes_;
  call_tag observed_;                            // guarded by pipes_
  std::atomic<std::uint64_t> observed_call_{0};  // its call, for a look without the lock
  FILE* old_stdout_ = nullptr;
  FILE* old_stderr_ = nullptr;
  std::array<std::streambuf*, 3> old_buffers_{};
};

namespace {

std::atomic<log_capture::impl*> active{nullptr};

// Owns a thread's lines; at the thread's end what is open is completed.
class line_owner {
 public:
  line_owner() = default;
  line_owner(const line_owner&) = delete;
  line_owner& operator=(const line_owner&) = delete;

  ~line_owner() {
    complete();
    delete std::exchange(current_lines, nullptr);
  }

  static void complete() noexcept {
    if (current_lines == nullptr) return;
    for (std::size_t n = 0; n < 2; ++n) {
      auto& line = (*current_lines)[n];
      if (line.size == 0) continue;
      if (auto* capture = active.load(std::memory_order_acquire))
        capture->emit(stream_at(n), current_tag, line.view(), false);
      line.size = 0;
    }
  }

  static line_pair& mine() {
    thread_local line_owner owner;
    if (current_lines == nullptr) {
      current_lines = new line_pair;
      (void)&owner;  // made now, so that it ends with the thread
    }
    return *current_lines;
  }
};

// A forked child has neither our threads nor the ring's memory: it prints to the descriptors, which lead to the pipe.
void forget_in_child() {
  active.store(nullptr, std::memory_order_release);
}

void print_raw(log_stream stream, std::string_view chunk) {
  const int fd = stream == log_stream::out ? STDOUT_FILENO : STDERR_FILENO;
  while (!chunk.empty()) {
    const auto written = ::write(fd, chunk.data(), chunk.size());
    if (written < 0 && errno != EINTR) return;
    if (written > 0) chunk.remove_prefix(static_cast<std::size_t>(written));
  }
}

void print(log_stream stream, std::string_view chunk) {
  auto* capture = active.load(std::memory_order_acquire);
  if (capture == nullptr) return print_raw(stream, chunk);
  line_owner::mine()[index_of(stream)].take(chunk, [&](std::string_view text, bool open) {
    capture->emit(stream, current_tag, text, open);
  });
}

// Without a put area each piece arrives at once, on the thread that printed it.
class printing_buffer : public std::streambuf {
 public:
  explicit printing_buffer(log_stream stream) : stream_(stream) {}

 protected:
  int_type overflow(int_type one) override {
    if (traits_type::eq_int_type(one, traits_type::eof())) return traits_type::not_eof(one);
    const char text = traits_type::to_char_type(one);
    print(stream_, {&text, 1});
    return one;
  }

  std::streamsize xsputn(const char* text, std::streamsize size) override {
    print(stream_, {text, static_cast<std::size_t>(size)});
    return size;
  }

 private:
  log_stream stream_;
};

ssize_t write_cookie(void* stream, const char* text, std::size_t size) {
  print(stream_at(reinterpret_cast<std::uintptr_t>(stream)), {text, size});
  return static_cast<ssize_t>(size);
}

// Made once and never freed: a thread may be inside one when the capture stops, and exit() looks at all of them.
FILE* printing_file(log_stream stream) {
  static std::array<FILE*, 2> files{};
  auto& file = files[index_of(stream)];
  if (file == nullptr) {
    cookie_io_functions_t functions{};
    functions.write = write_cookie;
    file = ::fopencookie(reinterpret_cast<void*>(std::uintptr_t{index_of(stream)}), "w", functions);
    if (file != nullptr) std::setvbuf(file, nullptr, _IONBF, 0);
  }
  return file;
}

printing_buffer* printing_stream(log_stream stream) {
  static auto* out = new printing_buffer(log_stream::out);
  static auto* err = new printing_buffer(log_stream::err);
  return stream == log_stream::out ? out : err;
}

}  // namespace

// ---- lines

void log_capture::impl::emit(log_stream stream,
                             call_tag tag,
                             std::string_view text,
                             bool open) noexcept {
  ring_.append(stream, tag, text, open);
  if (!hook_ || in_hook) return;
  in_hook = true;
  try {
    hook_(stream, tag, text, open);
  } catch (...) {  // the line is in the ring; a caller who cannot be told must not end the callee
  }
  in_hook = false;
}

// ---- what is written to the descriptors themselves

bool log_capture::impl::pipes_empty() const noexcept {
  return std::all_of(raw_.begin(), raw_.end(), [](const raw& one) {
    int waiting = 0;
    return ::ioctl(one.ends.read.get(), FIONREAD, &waiting) == 0 && waiting == 0;
  });
}

void log_capture::impl::drain(raw& from, log_stream stream) noexcept {
  constexpr int rounds = 16;  // a child that never stops writing must not hold a call's end up
  std::array<char, 4096> part;
  for (int n = 0; n < rounds; ++n) {
    const auto got = ::read(from.ends.read.get(), part.data(), part.size());
    if (got <= 0) return;
    from.line.take({part.data(), static_cast<std::size_t>(got)},
                   [&](std::string_view text, bool open) { emit(stream, observed_, text, open); });
  }
}

void log_capture::impl::complete_raw_lines() noexcept {
  for (std::size_t n = 0; n < 2; ++n) {
    if (raw_[n].line.size != 0) emit(stream_at(n), observed_, raw_[n].line.view(), false);
    raw_[n].line.size = 0;
  }
}

void log_capture::impl::observe(call_tag tag) noexcept {
  if (observes(tag.call)) return;
  const std::lock_guard hold(pipes_);
  if (!pipes_empty()) return;  // from before: the reader thread is about to take it
  complete_raw_lines();
  observed_ = tag;
  observed_call_.store(tag.call, std::memory_order_relaxed);
}

void log_capture::impl::settle() noexcept {
  const std::lock_guard hold(pipes_);
  for (std::size_t n = 0; n < 2; ++n)
    drain(raw_[n], stream_at(n));
  complete_raw_lines();
  observed_ = {};
  observed_call_.store(0, std::memory_order_relaxed);
}

void log_capture::impl::read_pipes() noexcept {
  for (;;) {
    pollfd sources[3]{{raw_[0].ends.read.get(), POLLIN, 0},
                      {raw_[1].ends.read.get(), POLLIN, 0},
                      {wake_.get(), POLLIN, 0}};
    if (::poll(sources, 3, -1) < 0 && errno != EINTR) return;
    if (sources[2].revents != 0) return;
    const std::lock_guard hold(pipes_);
    for (std::size_t n = 0; n < 2; ++n)
      if (sources[n].revents != 0) drain(raw_[n], stream_at(n));
  }
}

void log_capture::impl::flush_from_handler() noexcept {
  if (current_lines != nullptr)
    for (std::size_t n = 0; n < 2; ++n)
      if (const auto& line = (*current_lines)[n]; line.size != 0)
        ring_.append_from_handler(stream_at(n), current_tag, line.view());
  std::array<char, log_line_bytes_max> part;
  for (std::size_t n = 0; n < 2; ++n) {
    const auto got = ::read(raw_[n].ends.read.get(), part.data(), part.size());
    std::string_view left(part.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
    while (!left.empty()) {
      const auto line = left.substr(0, left.find('\n'));
      ring_.append_from_handler(stream_at(n), {}, line);
      left.remove_prefix(std::min(left.size(), line.size() + 1));
    }
  }
}

// ---- start and stop

result<void> log_capture::impl::begin() {
  wake_.reset(::eventfd(0, EFD_CLOEXEC));
  for (int n = 0; n < 2; ++n) {
    auto ends = make_pipe();
    if (!ends) return std::move(ends).error();
    auto& one = raw_[static_cast<std::size_t>(n)];
    one.ends = std::move(*ends);
    one.saved.reset(::fcntl(n + 1, F_DUPFD_CLOEXEC, 3));
    ::fcntl(one.ends.read.get(), F_SETFL, O_NONBLOCK);
  }
  if (printing_file(log_stream::out) == nullptr || printing_file(log_stream::err) == nullptr)
    return fail(kind::overloaded, "no_memory", "no stream can be made for captured output");
  swap_streams();
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  reader_ = std::thread([this] { read_pipes(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return {};
}

void log_capture::impl::swap_streams() noexcept {
  std::cout.flush();
  std::fflush(stdout);
  std::fflush(stderr);
  old_buffers_ = {std::cout.rdbuf(printing_stream(log_stream::out)),
                  std::cerr.rdbuf(printing_stream(log_stream::err)),
                  std::clog.rdbuf(printing_stream(log_stream::err))};
  old_stdout_ = std::exchange(stdout, printing_file(log_stream::out));
  old_stderr_ = std::exchange(stderr, printing_file(log_stream::err));
  for (int n = 0; n < 2; ++n)
    ::dup2(raw_[static_cast<std::size_t>(n)].ends.write.get(), n + 1);
}

void log_capture::impl::restore_streams() noexcept {
  std::cout.rdbuf(old_buffers_[0]);
  std::cerr.rdbuf(old_buffers_[1]);
  std::clog.rdbuf(old_buffers_[2]);
  std::fflush(old_stdout_);
  std::fflush(old_stderr_);
  stdout = old_stdout_;
  stderr = old_stderr_;
  for (int n = 0; n < 2; ++n) {
    const int saved = raw_[static_cast<std::size_t>(n)].saved.get();
    if (saved >= 0)
      ::dup2(saved, n + 1);
    else
      ::close(n + 1);  // it was closed before
  }
}

void log_capture::impl::end() noexcept {
  line_owner::complete();
  restore_streams();
  ::eventfd_write(wake_.get(), 1);
  reader_.join();
  settle();
}

result<std::unique_ptr<log_capture>> log_capture::start(log_writer& ring, log_hook hook) {
  static const int registered = ::pthread_atfork(nullptr, nullptr, forget_in_child);
  if (registered != 0) return fail(kind::overloaded, "no_memory", "no fork handler can be had");
  auto self = std::make_unique<impl>(ring, std::move(hook));
  impl* nobody = nullptr;
  if (!active.compare_exchange_strong(nobody, self.get()))
    return fail(kind::conflict, "captured_already", "this process's output is captured already");
  auto begun = self->begin();
  if (!begun) {
    active.store(nullptr, std::memory_order_release);
    return std::move(begun).error().at("while capturing the output");
  }
  return std::unique_ptr<log_capture>(new log_capture(std::move(self)));
}

log_capture::log_capture(std::unique_ptr<impl> self) : self_(std::move(self)) {}

log_capture::~log_capture() {
  stop();
}

void log_capture::enter(call_tag tag) noexcept {
  current_tag = tag;
}

void log_capture::leave() noexcept {
  line_owner::complete();
  if (self_ && self_->observes(current_tag.call)) self_->settle();
  current_tag = {};
}

void log_capture::observe(call_tag tag) noexcept {
  if (self_) self_->observe(tag);
}

void log_capture::stop() noexcept {
  if (!self_) return;
  self_->end();
  active.store(nullptr, std::memory_order_release);
  self_.reset();
}

void log_capture::flush_from_handler() noexcept {
  if (auto* capture = active.load(std::memory_order_acquire)) capture->flush_from_handler();
}

}  // namespace berth::process
