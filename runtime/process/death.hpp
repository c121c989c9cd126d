#pragma once
// Death: how a process ended, and the error a caller reads about it.

#include <berth/error.hpp>
#include <cstdint>
#include <string>
#include <sys/types.h>

namespace berth::process {

class page_reader;
class log_ring;

/// How one process ended. A value.
struct death {
  enum class way : std::uint8_t {
    exited,     ///< `number` is the exit code
    signalled,  ///< `number` is the signal
    unknown,    ///< somebody else reaped it
  };
  pid_t pid = 0;
  way how = way::unknown;
  int number = 0;
  bool core = false;  ///< a core file was written

  friend bool operator==(const death&, const death&) = default;
};

/// From what `waitpid` stored.
[[nodiscard]] death death_from(pid_t pid, int wait_status) noexcept;

/// "SIGSEGV", "SIGKILL"; "signal 99" for what has no name.
[[nodiscard]] std::string signal_name(int number);

/// "ended by SIGSEGV (core written)", "ended with exit code 3".
[[nodiscard]] std::string to_string(const death& end);

/// Whether the code itself is to blame (SEGV, ABRT, BUS, FPE, ILL, SYS, TRAP or an exit on its own) and not somebody's
/// kill from outside. Counts towards a version's quarantine.
[[nodiscard]] bool own_fault(const death& end) noexcept;

/// What is known beside the exit status.
struct death_scene {
  std::string version;                ///< "digits/classify@7"
  const page_reader* page = nullptr;  ///< may be null
  const log_ring* log = nullptr;      ///< may be null
  std::size_t lines = 20;             ///< of the log
};

/// The error for calls that ran when the worker died: kind `outcome_unknown`, code `worker_died`; message names version,
/// pid, signal or exit code and the faulting address; the trail holds the last log lines.
[[nodiscard]] error_info explain(const death& end, const death_scene& scene);

/// The error for a version whose worker died before it could serve: kind `failed`, code `died_loading`; message and
/// trail as `explain`.
[[nodiscard]] error_info explain_failed_start(const death& end, const death_scene& scene);

}  // namespace berth::process
