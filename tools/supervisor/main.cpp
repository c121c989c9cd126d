// berth-supervisor: the program around `process::supervisor`. Started by `berth up`, `connect()` or a service manager.
#include "runtime/base/folders.hpp"
#include "runtime/process/supervisor.hpp"

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <unistd.h>

namespace {

using berth::fail;
using berth::kind;
using berth::result;

constexpr const char* usage =
    "usage: berth-supervisor --runtime DIR --state DIR [options] -- HEAD [ARGUMENT ...]\n"
    "  --drain-ms N       how long running calls may go on when it stops (5000)\n"
    "  --foreground       said by service files; it never leaves by itself\n"
    "  --embedded         the cluster belongs to the program that starts it\n"
    "  --remove-folders   both folders are temporary\n"
    "  --ready-fd N       a pipe that is told when the cluster serves\n"
    "  --owner-fd N       a pidfd whose end ends the cluster\n"
    "  --lifeline-fd N    a pipe whose end of file ends the cluster\n"
    "HEAD is started with --runtime DIR --state DIR appended. On $NOTIFY_SOCKET it speaks\n"
    "systemd's readiness protocol. SIGTERM and SIGINT drain and stop; a second one stops at "
    "once.\n";

result<int> number(std::string_view option, const char* text) {
  int value = -1;
  const auto end = text + std::strlen(text);
  const auto read = std::from_chars(text, end, value);
  if (read.ec != std::errc() || read.ptr != end || value < 0)
    return fail(kind::invalid, "bad_option", std::string(option) + " takes a number");
  return value;
}

result<void> set(berth::process::supervisor_options& options,
                 std::string_view option,
                 const char* text) {
  if (option == "--runtime") return options.runtime = text, result<void>();
  if (option == "--state") return options.state = text, result<void>();
  auto value = number(option, text);
  if (!value) return std::move(value).error();
  if (option == "--drain-ms")
    return options.drain = std::chrono::milliseconds(*value), result<void>();
  if (option == "--ready-fd") return options.ready.reset(*value), result<void>();
  if (option == "--owner-fd") return options.owner.reset(*value), result<void>();
  if (option == "--lifeline-fd") return options.lifeline.reset(*value), result<void>();
  return fail(kind::invalid, "bad_option", "no option " + std::string(option));
}

result<berth::process::supervisor_options> parse(int argc, char** argv) {
  berth::process::supervisor_options options;
  int at = 1;
  for (; at < argc && std::string_view(argv[at]) != "--"; ++at) {
    const std::string_view option = argv[at];
    if (option == "--foreground") {
      continue;  // it always stays; the word is for those who read a service file
    } else if (option == "--embedded") {
      options.embedded = true;
    } else if (option == "--remove-folders") {
      options.remove_folders = true;
    } else if (at + 1 == argc) {
      return fail(kind::invalid, "bad_option",
                  std::string(option) + " is no option, or lacks its value");
    } else if (auto done = set(options, option, argv[++at]); !done) {
      return std::move(done).error();
    }
  }
  for (++at; at < argc; ++at)
    options.head.emplace_back(argv[at]);
  if (options.head.empty() || options.runtime.empty() || options.state.empty())
    return fail(kind::invalid, "bad_option",
                "a runtime folder, a state folder and a head are needed");
  return options;
}

// Shared segments and links travel as descriptors; what a soft limit of 1024 drops is lost silently.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  auto options = parse(argc, argv);
  if (!options) {
    std::fprintf(stderr, "berth-supervisor: %s\n%s", options.error().message.c_str(), usage);
    return berth::exit_code(options.error().kind);
  }
  for (const auto& folder : {options->runtime, options->state})
    if (auto made = berth::base::make_private(folder); !made) {
      std::fprintf(stderr, "berth-supervisor: %s\n", made.error().to_string().c_str());
      return berth::exit_code(made.error().kind);
    }
  options->notify_socket = berth::base::process_environment()("NOTIFY_SOCKET").value_or("");
  raise_descriptor_limit();
  return berth::process::supervisor(std::move(*options)).run();
}
