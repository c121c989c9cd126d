#pragma once
// Directory: who knows where a ref is answered. The head's control actor, or in tests a fixed route.

#include "runtime/client/verbs.hpp"
#include "runtime/net/endpoint.hpp"

#include <berth/error.hpp>
#include <functional>
#include <memory>

namespace berth::client {

/// Told of every later route of a ref it follows. On a thread of the directory's; may block.
class route_follower {
 public:
  virtual ~route_follower() = default;
  virtual void on_route(const verbs::route& route) = 0;
};

/// Threads: any.
class directory {
 public:
  virtual ~directory() = default;

  /// What stands behind `what.ref` now; with a follower also every change, until the follower is gone.
  /// Errors: those of the verb; `disconnected` when the head is away.
  virtual result<verbs::route> resolve(const verbs::resolve& what,
                                       const std::weak_ptr<route_follower>& follower) = 0;

  /// What became of a call whose worker went away.
  virtual result<verbs::fated> fate_of(const verbs::fate& what) = 0;

  /// A follower has gone: what it followed is let go of.
  virtual void forget_gone() {}

  /// Where workers are reached: the node's port.
  [[nodiscard]] virtual net::address address() const = 0;
};

}  // namespace berth::client
