#pragma once
// Asking: the one way an actor asks another.
//
// CAF never answers a request whose receiver's process died, and keeps a clock entry for every timeout. So requests
// are made without timeout, the receiver is monitored, and what is pending when it goes fails at once, as
// `disconnected`. An actor that asks owns one `asking` and routes its down messages here.

#include "actors/interfaces.hpp"

#include <functional>
#include <map>
#include <memory>

namespace berth::actors {

[[nodiscard]] inline error_info from_caf(const caf::error& why, caf::actor_system& system) {
  if (why == caf::sec::request_receiver_down || why == caf::exit_reason::remote_link_unreachable)
    return fail(kind::disconnected, "actor_gone",
                "the part of the cluster that was asked is gone; retry");
  return fail(kind::failed, "actor", "a part of the cluster failed: " + system.render(why));
}

/// One per actor, in its state; used on its thread only.
class asking {
 public:
  /// Sends `words` to `whom`; exactly one of `then` (with the answer) and `otherwise` (with an error_info) is called.
  template <class... Answer, class Self, class Handle, class Then, class Otherwise, class... Words>
  void ask(Self* self, const Handle& whom, Then then, Otherwise otherwise, Words&&... words) {
    auto address = whom.address();
    if (!pending_->contains(address)) self->monitor(whom);
    auto id = ++last_;
    (*pending_)[address].emplace(id,
                                 [otherwise](const error_info& why) mutable { otherwise(why); });
    auto table = pending_;
    auto settle = [table, address, id] {
      auto found = table->find(address);
      return found != table->end() && found->second.erase(id) > 0;
    };
    self->request(whom, caf::infinite, std::forward<Words>(words)...)
        .then(
            [settle, then](Answer&... answer) mutable {
              if (settle()) then(answer...);
            },
            [settle, otherwise, self](caf::error& why) mutable {
              if (settle()) otherwise(from_caf(why, self->system()));
            });
  }

  /// The monitored actor is gone: whatever was asked of it fails.
  void down(const caf::actor_addr& who) {
    auto found = pending_->find(who);
    if (found == pending_->end()) return;
    auto lost = std::move(found->second);
    pending_->erase(found);
    for (auto& [id, tell] : lost)
      tell(fail(kind::disconnected, "actor_gone",
                "the part of the cluster that was asked is gone; retry"));
  }

 private:
  using table =
      std::map<caf::actor_addr, std::map<std::uint64_t, std::function<void(const error_info&)>>>;
  std::shared_ptr<table> pending_ = std::make_shared<table>();
  std::uint64_t last_ = 0;
};

}  // namespace berth::actors
