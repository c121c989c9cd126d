#pragma once
// Command line of berthd. People do not type it; the supervisor and tests do.

#include <berth/error.hpp>
#include <filesystem>
#include <span>
#include <string>

namespace berth::berthd {

inline constexpr const char* usage =
    "usage: berthd --runtime FOLDER --state FOLDER [--embedded] [--no-tcp]\n"
    "       berthd --state FOLDER --accept-loss\n"
    "\n"
    "The head process of a berth cluster. `berth up` starts it under a supervisor.\n"
    "\n"
    "  --runtime FOLDER  sockets and worker folders (0700)\n"
    "  --state FOLDER    names database and content\n"
    "  --embedded        belongs to one program, which it says in its status\n"
    "  --no-tcp          Unix socket only, no loopback TCP\n"
    "  --accept-loss     gives up acknowledged changes that the names database lost, and ends\n";

struct options {
  std::filesystem::path runtime;
  std::filesystem::path state;
  bool embedded = false;
  bool tcp = true;
  bool accept_loss = false;
  bool help = false;
};

/// Errors: `invalid` (bad_option) with the word that is wrong.
[[nodiscard]] result<options> parse_options(std::span<char* const> words);

}  // namespace berth::berthd
