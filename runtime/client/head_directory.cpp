#include "runtime/client/head_directory.hpp"

#include "runtime/base/clock.hpp"

#include <berth/value.hpp>
#include <condition_variable>
#include <optional>
#include <utility>

namespace berth::client {
namespace {

// The head answers a resolve within its `wait_ms`; what it takes beyond that is its own.
constexpr auto answer_margin = std::chrono::seconds(5);

// A fate is known once the supervisor has told of the worker's death: milliseconds, unless the node is overloaded.
constexpr auto fate_wait = std::chrono::seconds(5);

}  // namespace

/// One followed ref. Its first answer goes to whoever asked, later ones to the follower.
struct head_directory::followed {
  verbs::resolve what;
  std::weak_ptr<route_follower> follower;
  std::unique_ptr<head_link::subscription> held;

  std::mutex mutex;
  std::condition_variable changed;
  std::optional<result<verbs::route>> first;
  bool lost = false;

  void arrives(const value& pushed) {
    auto route = from_value<verbs::route>(pushed);
    {
      const std::lock_guard lock(mutex);
      if (!first) {
        first.emplace(std::move(route));
        changed.notify_all();
        return;
      }
    }
    if (!route) return;
    if (const auto to = follower.lock()) to->on_route(*route);
  }

  void ends(const error_info& why) {
    const std::lock_guard lock(mutex);
    if (!first) first.emplace(why);
    lost = true;
    changed.notify_all();
  }
};

head_directory::~head_directory() {
  std::vector<std::shared_ptr<followed>> ending;
  {
    const std::lock_guard lock(mutex_);
    ending.swap(followed_);
  }
  for (const auto& one : ending)
    one->held.reset();
}

void head_directory::forget_gone() {
  std::vector<std::shared_ptr<followed>> gone;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(followed_, [&](const auto& one) {
      if (!one->follower.expired()) return false;
      gone.push_back(one);
      return true;
    });
  }
  for (const auto& one : gone)
    one->held.reset();
}

result<verbs::route> head_directory::start_following(const std::shared_ptr<followed>& what) {
  auto held = head_->follow(
      "resolve", to_value(what->what),
      [weak = std::weak_ptr(what)](const value& pushed) {
        if (const auto one = weak.lock()) one->arrives(pushed);
      },
      [weak = std::weak_ptr(what)](const error_info& why) {
        if (const auto one = weak.lock()) one->ends(why);
      });
  if (!held) return std::move(held).error();
  what->held = *std::move(held);
  std::unique_lock lock(what->mutex);
  const auto wait = std::chrono::milliseconds(what->what.wait_ms) + answer_margin;
  if (!what->changed.wait_for(lock, wait, [&] { return what->first.has_value(); }))
    return fail(kind::timed_out, "no_answer",
                "the head did not answer in time about " + what->what.ref);
  return *what->first;
}

/// After a new head was found: routes that were followed over the old connection.
void head_directory::follow_lost_again() {
  std::vector<std::shared_ptr<followed>> again;
  {
    const std::lock_guard lock(mutex_);
    for (auto& one : followed_) {
      const std::lock_guard inner(one->mutex);
      if (!one->lost) continue;
      auto next = std::make_shared<followed>();
      next->what = one->what;
      next->follower = one->follower;
      again.push_back(next);
      one = std::move(next);
    }
  }
  for (const auto& one : again) {
    const auto route = start_following(one);
    const auto to = one->follower.lock();
    if (route && to) to->on_route(*route);
  }
}

result<verbs::route> head_directory::resolve(const verbs::resolve& what,
                                             const std::weak_ptr<route_follower>& follower) {
  if (!what.follow) {
    const auto wait = std::chrono::milliseconds(what.wait_ms) + answer_margin;
    auto route = head_->ask<verbs::route>(what, wait);
    if (route) follow_lost_again();
    return route;
  }
  auto one = std::make_shared<followed>();
  one->what = what;
  one->follower = follower;
  auto route = start_following(one);
  if (!route) {
    one->held.reset();
    return route;
  }
  const std::lock_guard lock(mutex_);
  followed_.push_back(std::move(one));
  return route;
}

result<verbs::fated> head_directory::fate_of(const verbs::fate& what) {
  return head_->ask<verbs::fated>(what, fate_wait);
}

}  // namespace berth::client
