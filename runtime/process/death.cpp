#include "runtime/process/death.hpp"

#include "runtime/process/log_ring.hpp"
#include "runtime/process/worker_page.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <sys/wait.h>

namespace berth::process {
namespace {

constexpr std::array own_faults{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};

std::string address_text(std::uint64_t address) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(address));
  return text.data();
}

// The signals whose `si_addr` is the place that faulted.
bool has_address(int signal) {
  return signal == SIGSEGV || signal == SIGBUS;
}

std::string crash_text(const death& end, const page_reader& page) {
  const auto note = page.crash();
  if (!note) return {};
  std::string text;
  if (end.how != death::way::signalled || end.number != note->signal)
    text += " after " + signal_name(note->signal);
  // A code of 0 and below: the signal was sent, it has no address.
  if (has_address(note->signal) && note->code > 0)
    text += " at address " + address_text(note->address);
  return text;
}

std::string sentence(const death& end, const death_scene& scene) {
  auto text =
      "the worker of " + scene.version + " (pid " + std::to_string(end.pid) + ") " + to_string(end);
  if (scene.page != nullptr) text += crash_text(end, *scene.page);
  return text;
}

error_info fail_with_lines(error_info why, const death_scene& scene) {
  if (scene.log == nullptr || scene.lines == 0) return why;
  const auto lines = scene.log->last(scene.lines);
  why.trail.push_back(lines.empty() ? "it had logged nothing"
                      : lines.size() == 1
                          ? "its last log line:"
                          : "its last " + std::to_string(lines.size()) + " log lines:");
  for (const auto& line : lines)
    why.trail.push_back("| " + line.text);
  return why;
}

}  // namespace

death death_from(pid_t pid, int wait_status) noexcept {
  if (WIFEXITED(wait_status)) return {pid, death::way::exited, WEXITSTATUS(wait_status), false};
  if (WIFSIGNALED(wait_status))
    return {pid, death::way::signalled, WTERMSIG(wait_status), WCOREDUMP(wait_status) != 0};
  return {pid, death::way::unknown, 0, false};
}

std::string signal_name(int number) {
  const char* name = ::sigabbrev_np(number);
  return name == nullptr ? "signal " + std::to_string(number) : std::string("SIG") + name;
}

std::string to_string(const death& end) {
  switch (end.how) {
    case death::way::exited:
      return "ended with exit code " + std::to_string(end.number);
    case death::way::signalled:
      return "ended by " + signal_name(end.number) + (end.core ? " (core written)" : "");
    case death::way::unknown:
      break;
  }
  return "ended, nobody knows how";
}

bool own_fault(const death& end) noexcept {
  if (end.how == death::way::exited) return true;
  return end.how == death::way::signalled
         && std::find(own_faults.begin(), own_faults.end(), end.number) != own_faults.end();
}

error_info explain(const death& end, const death_scene& scene) {
  return fail_with_lines(
      fail(kind::outcome_unknown, "worker_died",
           sentence(end, scene) + "; calls it had started may have had their effect"),
      scene);
}

error_info explain_failed_start(const death& end, const death_scene& scene) {
  return fail_with_lines(
      fail(kind::failed, "died_loading", sentence(end, scene) + " before it could serve"), scene);
}

}  // namespace berth::process
