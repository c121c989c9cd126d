#include "tools/berthd/options.hpp"

#include <string_view>

namespace berth::berthd {
namespace {

error_info bad(std::string why) {
  return fail(kind::invalid, "bad_option", std::move(why) + "; see berthd --help");
}

}  // namespace

result<options> parse_options(std::span<char* const> words) {
  options out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string_view word = words[i];
    auto value = [&](std::filesystem::path& to) {
      if (i + 1 == words.size()) return false;
      to = words[++i];
      return true;
    };
    if (word == "--runtime" || word == "--state") {
      if (!value(word == "--runtime" ? out.runtime : out.state))
        return bad(std::string(word) + " needs a folder");
    } else if (word == "--embedded") {
      out.embedded = true;
    } else if (word == "--no-tcp") {
      out.tcp = false;
    } else if (word == "--accept-loss") {
      out.accept_loss = true;
    } else if (word == "--help" || word == "-h") {
      out.help = true;
      return out;
    } else {
      return bad("unknown word '" + std::string(word) + "'");
    }
  }
  if (out.state.empty()) return bad("--state is missing");
  if (out.runtime.empty() && !out.accept_loss) return bad("--runtime is missing");
  return out;
}

}  // namespace berth::berthd
