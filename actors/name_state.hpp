#pragma once
// Name, the state machine: what stands behind one name right now, and who must hear of it.
//
// It turns committed flips into closed gates, then into pushed routes, then into an acknowledgement, in this order: a
// flip is acknowledged when no call can start on what left the tag. It tells each version's service why it should live.
//
// Pure: events in, effects out.

#include "actors/service_state.hpp"
#include "runtime/client/verbs.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace berth::actors {

namespace verbs = client::verbs;

/// What the name needs to know of one of its versions.
struct version_info {
  std::uint32_t number = 0;
  std::string digest;
  std::string manifest;
  std::string signatures;
  bool idempotent = false;
  std::uint32_t concurrency = 1;
  friend bool operator==(const version_info&, const version_info&) = default;
};

/// A tag as the change log says.
struct tag_flip {
  std::string tag;
  std::uint64_t revision = 0;
  std::vector<verbs::part> split;
  std::string layout;
};

/// Calls made through the tag of `slot` at a revision below this one must not start any more.
struct gate {
  std::uint32_t slot = 0;
  std::uint64_t revision = 0;
  friend bool operator==(const gate&, const gate&) = default;
};

/// Somebody who wants to hear of changes: by tag, or pinned to a version when `tag` is empty.
struct follower {
  std::string tag;
  std::uint32_t version = 0;
  std::string who;     ///< for people
  std::string method;  ///< what it calls, and how it is bound
  std::string signature;
};

// Effects.
struct claim_service {
  std::uint32_t version = 0;
  service_claims claims;
};

/// Close these gates in every worker of this name; then `gates_closed` with the same flip.
struct close_gates {
  std::uint64_t flip = 0;
  std::vector<gate> gates;
};

struct push_route {
  std::uint64_t follower = 0;
  verbs::route route;
};

struct flip_done {
  std::uint64_t flip = 0;
};

using name_effect = std::variant<claim_service, close_gates, push_route, flip_done>;
using name_effects = std::vector<name_effect>;

class name_state {
 public:
  explicit name_state(std::string name) : name_(std::move(name)) {}

  name_effects published(version_info version);
  /// Rows of one transaction that concern this name.
  name_effects flipped(std::uint64_t flip, const std::vector<tag_flip>& flips);
  name_effects gates_closed(std::uint64_t flip);
  /// The ready replicas of a version.
  name_effects replicas(std::uint32_t version, std::vector<verbs::endpoint> ready);
  name_effects follow(std::uint64_t id, follower who);
  name_effects forget(std::uint64_t id);
  name_effects scale(std::uint32_t version, std::uint32_t replicas);

  /// Routes. Requires that the tag or version exists.
  [[nodiscard]] verbs::route route_of_tag(const std::string& tag) const;
  [[nodiscard]] verbs::route route_of_version(std::uint32_t version) const;

  [[nodiscard]] bool has_tag(const std::string& tag) const { return tags_.contains(tag); }

  [[nodiscard]] const version_info* version(std::uint32_t number) const;
  /// Versions of a tag's split, none when there is no such tag.
  [[nodiscard]] std::vector<std::uint32_t> versions_of(const std::string& tag) const;

  [[nodiscard]] const std::map<std::uint64_t, follower>& followers() const { return followers_; }

  /// Every gate as it must stand in a worker that starts now.
  [[nodiscard]] std::vector<gate> gates() const;
  [[nodiscard]] std::uint32_t replicas_wanted(std::uint32_t version) const;

 private:
  struct tag_state {
    std::uint32_t slot = 0;
    tag_flip at;
  };

  struct version_state {
    version_info info;
    std::uint32_t replicas = 1;
    std::vector<verbs::endpoint> ready;
    service_claims claimed;
  };

  [[nodiscard]] verbs::served served(std::uint32_t version, std::uint32_t weight) const;
  void claim(name_effects& out, std::uint32_t version);
  void push(name_effects& out, const std::vector<std::string>& tags) const;

  std::string name_;
  std::map<std::uint32_t, version_state> versions_;
  std::map<std::string, tag_state> tags_;
  std::map<std::uint64_t, follower> followers_;
  std::map<std::uint64_t, std::vector<std::string>>
      flips_;  ///< gates being closed: tags to push then
};

}  // namespace berth::actors
