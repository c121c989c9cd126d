#pragma once
// Head directory: refs as the head's control actor knows them.

#include "runtime/client/directory.hpp"
#include "runtime/client/head_link.hpp"

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace berth::client {

/// A resource. When the connection to the head is lost, what is followed is followed again over the next one; bound
/// replicas are called meanwhile.
class head_directory final : public directory {
 public:
  explicit head_directory(std::shared_ptr<head_link> head) : head_(std::move(head)) {}

  ~head_directory() override;

  result<verbs::route> resolve(const verbs::resolve& what,
                               const std::weak_ptr<route_follower>& follower) override;
  result<verbs::fated> fate_of(const verbs::fate& what) override;

  [[nodiscard]] net::address address() const override { return head_->where(); }

  void forget_gone() override;

  [[nodiscard]] head_link& head() noexcept { return *head_; }

 private:
  struct followed;
  result<verbs::route> start_following(const std::shared_ptr<followed>& what);
  void follow_lost_again();

  std::shared_ptr<head_link> head_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<followed>> followed_;
};

}  // namespace berth::client
