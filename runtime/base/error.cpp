#include <array>
#include <berth/error.hpp>

namespace berth {
namespace {

struct kind_row {
  kind what;
  std::string_view name;
  int exit;
};

constexpr std::array kinds{
    kind_row{kind::failed, "failed", 1},
    kind_row{kind::invalid, "invalid", 2},
    kind_row{kind::missing, "missing", 3},
    kind_row{kind::denied, "denied", 4},
    kind_row{kind::disconnected, "disconnected", 5},
    kind_row{kind::timed_out, "timed_out", 5},
    kind_row{kind::outcome_unknown, "outcome_unknown", 5},
    kind_row{kind::conflict, "conflict", 6},
    kind_row{kind::overloaded, "overloaded", 7},
    kind_row{kind::cancelled, "cancelled", 130},
};

}  // namespace

std::string_view to_string(kind k) noexcept {
  for (const auto& row : kinds)
    if (row.what == k) return row.name;
  return "unknown";
}

std::optional<kind> kind_from(std::string_view name) noexcept {
  for (const auto& row : kinds)
    if (row.name == name) return row.what;
  return std::nullopt;
}

int exit_code(kind k) noexcept {
  for (const auto& row : kinds)
    if (row.what == k) return row.exit;
  return 1;
}

error_info&& error_info::at(std::string line) && {
  trail.push_back(std::move(line));
  return std::move(*this);
}

std::string error_info::to_string() const {
  std::string text(berth::to_string(kind));
  if (!code.empty()) text += " (" + code + ")";
  text += ": " + message;
  for (const auto& line : trail)
    text += "\n  " + line;
  return text;
}

std::vector<std::byte> error_info::detail_block() const {
  const auto* begin = reinterpret_cast<const std::byte*>(detail.data());
  return {begin, begin + detail.size()};
}

error_info fail(kind k, std::string code, std::string message) {
  error_info info;
  info.kind = k;
  info.code = std::move(code);
  info.message = std::move(message);
  return info;
}

error::error(error_info info) : info_(std::move(info)), text_(info_.to_string()) {}

}  // namespace berth
