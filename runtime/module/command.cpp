#include "runtime/module/command.hpp"

#include "runtime/base/unique_fd.hpp"
#include "runtime/process/child.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <string_view>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

namespace berth::module {

namespace {

using clock = std::chrono::steady_clock;

int left_ms(clock::time_point end) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(end - clock::now()).count();
  return static_cast<int>(std::clamp<long long>(left, 0, 3'600'000));
}

/// Output so far; passes whole lines on.
class output_reader {
 public:
  explicit output_reader(const line_listener& on_line) : on_line_(on_line) {}

  void add(std::string_view piece) {
    if (on_line_) tell(piece);
    const auto room = command_output_max - std::min(text_.size(), command_output_max);
    text_ += piece.substr(0, room);
    cut_ = cut_ || piece.size() > room;
  }

  std::string take() {
    if (on_line_ && !line_.empty()) on_line_(line_);
    if (cut_) text_ += "\n[the rest of the output was cut]\n";
    return std::move(text_);
  }

 private:
  void tell(std::string_view piece) {
    for (const char c : piece)
      if (c == '\n')
        on_line_(std::exchange(line_, {}));
      else
        line_ += c;
  }

  const line_listener& on_line_;
  std::string text_;
  std::string line_;
  bool cut_ = false;
};

enum class read_end { output_ended, stopped, too_late };

// Reads until the last holder of the pipe closed it; no longer than until `end`, however much there is to read.
read_end read_all(int from, int stopped, clock::time_point end, output_reader& to) {
  std::array<char, 16384> buffer;
  for (;;) {
    std::array<pollfd, 2> ready{{{from, POLLIN, 0}, {stopped, POLLIN, 0}}};
    const int n = ::poll(ready.data(), ready.size(), left_ms(end));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 || clock::now() >= end) return read_end::too_late;
    if (ready[1].revents != 0) return read_end::stopped;
    const auto got = ::read(from, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return read_end::output_ended;
    to.add({buffer.data(), static_cast<std::size_t>(got)});
  }
}

// A tool removes what it made when it is asked to end: a compiler its temporary files, ninja its children, which stand
// in groups of their own. Whoever holds the pipe still works at that.
void end_politely(const process::child& child, int output) {
  constexpr std::chrono::milliseconds patience{2000};
  constexpr int nothing_stops_it = -1;
  child.signal_group(SIGTERM);
  const auto end = clock::now() + patience;
  const line_listener unheard;
  output_reader rest(unheard);
  (void)read_all(output, nothing_stops_it, end, rest);
  pollfd ended{child.pidfd(), POLLIN, 0};
  (void)::poll(&ended, 1, left_ms(end));
  child.kill_group();
}

}  // namespace

result<command_outcome> run(const command_line& what,
                            const std::stop_token& stop,
                            std::chrono::seconds patience,
                            const line_listener& on_line) {
  const auto end = clock::now() + patience;
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return fail(kind::overloaded, "no_descriptors",
                std::string("running a tool: ") + std::strerror(errno));
  base::unique_fd reading(ends[0]);
  base::unique_fd writing(ends[1]);
  const base::unique_fd stopped(::eventfd(0, EFD_CLOEXEC));
  const std::stop_callback wake(stop, [&] { (void)::eventfd_write(stopped.get(), 1); });

  process::command command;
  command.argv = what.argv;
  command.env = process::own_environment();
  for (const auto& [name, value] : what.variables)
    process::set_variable(command.env, name, value);
  command.cwd = what.folder;
  command.out = command.err = writing.get();
  auto child = process::start(command);
  if (!child) return std::move(child.error()).at("while starting " + what.argv.front());
  writing.reset();

  output_reader output(on_line);
  const auto how = read_all(reading.get(), stopped.get(), end, output);
  if (how == read_end::stopped || stop.stop_requested()) {
    end_politely(*child, reading.get());
    return fail(kind::cancelled, "cancelled", what.argv.front() + " was stopped");
  }
  const auto death = how == read_end::too_late
                         ? std::nullopt
                         : child->wait(std::chrono::milliseconds(left_ms(end) + 100));
  if (!death) {
    end_politely(*child, reading.get());
    return fail(
        kind::timed_out, "tool_timed_out",
        what.argv.front() + " did not end within " + std::to_string(patience.count()) + " s");
  }
  const int code = death->how == process::death::way::exited ? death->number : 128 + death->number;
  return command_outcome{code, output.take()};
}

std::string find_program(const std::string& name) {
  if (name.empty()) return {};
  if (name.find('/') != std::string::npos)
    return ::access(name.c_str(), X_OK) == 0 ? name : std::string();
  const char* path = std::getenv("PATH");
  std::string_view rest = path ? path : "/usr/local/bin:/usr/bin:/bin";
  while (!rest.empty()) {
    const auto end = std::min(rest.find(':'), rest.size());
    auto candidate = std::string(rest.substr(0, end)) + '/' + name;
    if (end != 0 && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

}  // namespace berth::module
