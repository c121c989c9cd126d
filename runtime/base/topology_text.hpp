#pragma once
// A machine's topology as text: one fact a line, for fixtures, bug reports and clusters described by hand.
//
//   numa 0 cores 56 memory_mib 1048576
//   device 0 model H100 address 0000:12:00.0 memory_mib 76293 numa 0 pcie_switch 0
//   link 0 1 mb_per_s 478116
//
// Lines come in that order; '#' starts a comment. Models and addresses have no blanks: a blank is written as '_', an
// unknown one as '-'.

#include "runtime/base/topology.hpp"

#include <berth/error.hpp>
#include <string>
#include <string_view>

namespace berth::base {

/// Writes every fact of `of`; reading it gives an equal topology (models with '_' excepted).
[[nodiscard]] std::string to_text(const topology& of);

/// Reads such text. Errors: `invalid`/"topology_text" naming line, word and what was expected; indices out of order or
/// out of range are errors too.
[[nodiscard]] result<topology> topology_from_text(std::string_view text);

}  // namespace berth::base
