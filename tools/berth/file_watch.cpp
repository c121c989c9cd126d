#include "tools/berth/file_watch.hpp"

#include "tools/berth/interrupt.hpp"

#include <cerrno>
#include <climits>
#include <cstring>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

namespace berth::tools {
namespace {

namespace fs = std::filesystem;
constexpr int settle_ms = 20;

bool is_header(const std::string& leaf) {
  return leaf.ends_with(".hpp") || leaf.ends_with(".h") || leaf.ends_with(".hh")
         || leaf.ends_with(".inl");
}

}  // namespace

file_watch::file_watch() : events_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {}

result<void> file_watch::add(const fs::path& file) {
  if (!fs::exists(file))
    return fail(kind::missing, "no_file", fmt::format("there is no file {}", file.string()));
  const auto folder = fs::absolute(file).parent_path();
  const int watch =
      ::inotify_add_watch(events_.get(), folder.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO);
  if (watch < 0)
    return fail(kind::failed, "no_watch",
                fmt::format("cannot watch {}: {}", folder.string(), std::strerror(errno)));
  watched_[watch].insert(file.filename().string());
  return {};
}

bool file_watch::concerns(int watch, const std::string& leaf) const {
  const auto found = watched_.find(watch);
  return found != watched_.end() && (found->second.count(leaf) != 0 || is_header(leaf));
}

bool file_watch::wait() {
  bool saved = false;
  alignas(inotify_event) char buffer[16 * (sizeof(inotify_event) + NAME_MAX + 1)];
  for (;;) {
    pollfd waits[2] = {{events_.get(), POLLIN, 0}, {interrupt_descriptor(), POLLIN, 0}};
    const int ready = ::poll(waits, 2, saved ? settle_ms : -1);
    if (interrupted()) return false;
    if (ready == 0) return true;
    if (ready < 0) continue;
    const ssize_t got = ::read(events_.get(), buffer, sizeof buffer);
    for (ssize_t at = 0; at < got;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      if (event->len > 0 && concerns(event->wd, event->name)) saved = true;
      at += static_cast<ssize_t>(sizeof *event + event->len);
    }
  }
}

void await_interrupt(const std::stop_token& ended, std::stop_source& stop) {
  const base::unique_fd bell(::eventfd(0, EFD_CLOEXEC));
  const std::stop_callback ring(ended, [&bell] {
    const unsigned long long one = 1;
    (void)!::write(bell.get(), &one, sizeof one);
  });
  while (!ended.stop_requested()) {
    pollfd waits[2] = {{bell.get(), POLLIN, 0}, {interrupt_descriptor(), POLLIN, 0}};
    if (::poll(waits, 2, -1) > 0 && interrupted()) {
      stop.request_stop();
      return;
    }
  }
}

}  // namespace berth::tools
