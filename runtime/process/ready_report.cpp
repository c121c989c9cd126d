#include "runtime/process/ready_report.hpp"

#include <string_view>

namespace berth::process {

std::string ready_report(const result<void>& outcome) {
  if (outcome) return "ready\n";
  const auto& why = outcome.error();
  return "error " + std::string(to_string(why.kind)) + " " + why.code + "\n" + why.message;
}

result<void> read_ready_report(const std::string& text) {
  if (text == "ready\n") return {};
  const auto line = text.find('\n');
  const auto space = text.find(' ', 6);
  if (!text.starts_with("error ") || line == std::string::npos || space > line)
    return fail(kind::failed, "supervisor_died",
                "the supervisor ended before its cluster was ready");
  const auto what = kind_from(std::string_view(text).substr(6, space - 6));
  return fail(what.value_or(kind::failed), text.substr(space + 1, line - space - 1),
              text.substr(line + 1));
}

}  // namespace berth::process
