#pragma once
// Text as a JSON string, quotation marks included.

#include <fmt/format.h>
#include <string>
#include <string_view>

namespace berth::tools {

[[nodiscard]] inline std::string json_text(std::string_view text) {
  std::string made = "\"";
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20) {
      made += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
      continue;
    }
    if (c == '"' || c == '\\') made += '\\';
    made += c;
  }
  return made + '"';
}

}  // namespace berth::tools
