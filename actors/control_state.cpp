#include "actors/control_state.hpp"

#include <fmt/format.h>

namespace berth::actors {

std::string to_string(const caller_facts& who) {
  std::string text = who.program.empty() ? "somebody" : who.program;
  if (who.pid > 0) return text + fmt::format(" (pid {}, uid {})", who.pid, who.uid);
  return text + " (over TCP)";
}

std::uint64_t control_state::begin(std::uint64_t connection, std::uint64_t call) {
  auto key = ++last_;
  open_.emplace(key, open_request{key, connection, call, holding::nothing, {}});
  return key;
}

bool control_state::hold(std::uint64_t key, holding what, std::string name) {
  auto found = open_.find(key);
  if (found == open_.end()) return false;
  found->second.what = what;
  found->second.name = std::move(name);
  return true;
}

std::optional<open_request> control_state::finish(std::uint64_t key) {
  auto found = open_.find(key);
  if (found == open_.end()) return std::nullopt;
  auto out = std::move(found->second);
  open_.erase(found);
  return out;
}

std::optional<open_request> control_state::cancel(std::uint64_t connection, std::uint64_t call) {
  const auto* one = find(connection, call);
  return one ? finish(one->key) : std::nullopt;
}

std::vector<open_request> control_state::gone(std::uint64_t connection) {
  std::vector<open_request> out;
  std::erase_if(open_, [&](auto& one) {
    if (one.second.connection != connection) return false;
    out.push_back(std::move(one.second));
    return true;
  });
  return out;
}

const open_request* control_state::find(std::uint64_t key) const {
  auto found = open_.find(key);
  return found == open_.end() ? nullptr : &found->second;
}

const open_request* control_state::find(std::uint64_t connection, std::uint64_t call) const {
  for (const auto& [key, one] : open_)
    if (one.connection == connection && one.call == call) return &one;
  return nullptr;
}

}  // namespace berth::actors
