#include "actors/name_state.hpp"

#include <algorithm>

namespace berth::actors {

name_effects name_state::published(version_info version) {
  auto number = version.number;
  versions_[number].info = std::move(version);
  return {};
}

name_effects name_state::flipped(std::uint64_t flip, const std::vector<tag_flip>& flips) {
  name_effects out;
  close_gates gates{flip, {}};
  auto& waiting = flips_[flip];
  for (const auto& one : flips) {
    auto [tag, fresh] = tags_.try_emplace(one.tag);
    if (fresh)
      tag->second.slot =
          static_cast<std::uint32_t>(tags_.size());  // slot 0 is the gate of pinned calls
    tag->second.at = one;
    gates.gates.push_back({tag->second.slot, one.revision});
    waiting.push_back(one.tag);
  }
  // What comes in may live at once; what went out lives until the gates are closed.
  for (const auto& one : flips)
    for (const auto& part : one.split)
      claim(out, part.version);
  out.push_back(std::move(gates));
  return out;
}

name_effects name_state::gates_closed(std::uint64_t flip) {
  name_effects out;
  auto found = flips_.find(flip);
  if (found == flips_.end()) return out;
  push(out, found->second);
  out.push_back(flip_done{flip});
  flips_.erase(found);
  if (flips_.empty())
    for (const auto& [number, version] : versions_)
      claim(out, number);
  return out;
}

name_effects name_state::replicas(std::uint32_t version, std::vector<verbs::endpoint> ready) {
  name_effects out;
  auto found = versions_.find(version);
  if (found == versions_.end()) return out;
  found->second.ready = std::move(ready);
  std::vector<std::string> tags;
  for (const auto& [tag, state] : tags_)
    if (std::any_of(state.at.split.begin(), state.at.split.end(),
                    [&](const auto& p) { return p.version == version; }))
      tags.push_back(tag);
  push(out, tags);
  for (const auto& [id, one] : followers_)
    if (one.tag.empty() && one.version == version)
      out.push_back(push_route{id, route_of_version(version)});
  return out;
}

name_effects name_state::follow(std::uint64_t id, follower who) {
  name_effects out;
  auto version = who.version;
  bool pinned = who.tag.empty();
  followers_.insert_or_assign(id, std::move(who));
  if (pinned) claim(out, version);
  return out;
}

name_effects name_state::forget(std::uint64_t id) {
  name_effects out;
  auto found = followers_.find(id);
  if (found == followers_.end()) return out;
  auto one = found->second;
  followers_.erase(found);
  if (one.tag.empty()) claim(out, one.version);
  return out;
}

name_effects name_state::scale(std::uint32_t version, std::uint32_t replicas) {
  name_effects out;
  if (auto found = versions_.find(version); found != versions_.end()) {
    found->second.replicas = replicas;
    claim(out, version);
  }
  return out;
}

verbs::served name_state::served(std::uint32_t version, std::uint32_t weight) const {
  const auto& from = versions_.at(version);
  verbs::served out;
  out.version = version;
  out.weight = weight;
  out.digest = from.info.digest;
  out.signatures = from.info.signatures;
  out.idempotent = from.info.idempotent;
  out.concurrency = from.info.concurrency;
  out.replicas = from.ready;
  return out;
}

verbs::route name_state::route_of_tag(const std::string& tag) const {
  const auto& state = tags_.at(tag);
  verbs::route out;
  out.name = name_;
  out.tag = tag;
  out.revision = state.at.revision;
  out.tag_slot = state.slot;
  out.layout = state.at.layout;
  for (const auto& part : state.at.split)
    out.versions.push_back(served(part.version, part.weight));
  return out;
}

verbs::route name_state::route_of_version(std::uint32_t version) const {
  verbs::route out;
  out.name = name_;
  out.versions.push_back(served(version, 10000));
  return out;
}

const version_info* name_state::version(std::uint32_t number) const {
  auto found = versions_.find(number);
  return found == versions_.end() ? nullptr : &found->second.info;
}

std::vector<std::uint32_t> name_state::versions_of(const std::string& tag) const {
  std::vector<std::uint32_t> out;
  if (auto found = tags_.find(tag); found != tags_.end())
    for (const auto& part : found->second.at.split)
      out.push_back(part.version);
  return out;
}

std::vector<gate> name_state::gates() const {
  std::vector<gate> out;
  for (const auto& [tag, state] : tags_)
    out.push_back({state.slot, state.at.revision});
  return out;
}

std::uint32_t name_state::replicas_wanted(std::uint32_t version) const {
  auto found = versions_.find(version);
  return found == versions_.end() ? 1 : found->second.replicas;
}

void name_state::claim(name_effects& out, std::uint32_t version) {
  auto found = versions_.find(version);
  if (found == versions_.end()) return;
  service_claims claims;
  claims.replicas = found->second.replicas;
  for (const auto& [tag, state] : tags_)
    for (const auto& part : state.at.split)
      claims.tagged |= part.version == version;
  for (const auto& [id, one] : followers_)
    claims.followers += one.tag.empty() && one.version == version;
  if (claims == found->second.claimed) return;
  found->second.claimed = claims;
  out.push_back(claim_service{version, claims});
}

void name_state::push(name_effects& out, const std::vector<std::string>& tags) const {
  for (const auto& tag : tags) {
    auto route = route_of_tag(tag);
    for (const auto& [id, one] : followers_)
      if (one.tag == tag) out.push_back(push_route{id, route});
  }
}

}  // namespace berth::actors
