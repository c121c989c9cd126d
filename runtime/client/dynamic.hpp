#pragma once
// Dynamic calls: a function called with values that say themselves what they are; what shell and scripts use.
//
// The worker encodes them for its own signature and answers in the same manner. Everything else (routing, retries,
// deadlines, streams) is the typed handle's own machinery.

#include "runtime/client/callee.hpp"

#include <berth/call.hpp>
#include <berth/error.hpp>
#include <berth/shape.hpp>
#include <berth/value.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace berth::client {

/// A value with what is known about its making.
struct dynamic_reply {
  value result;
  std::uint32_t version = 0;
};

/// A handle without a C++ type. A value: copies share one binding. Threads: any.
class dynamic_function {
 public:
  /// Errors: those of resolving the ref.
  [[nodiscard]] static result<dynamic_function> bind(std::shared_ptr<session> of,
                                                     const std::string& ref);

  /// Calls with a list (by position), an object (by parameter name) or null. Errors: the call's.
  [[nodiscard]] result<dynamic_reply> call(const value& arguments,
                                           const detail::call_settings& how) const;

  /// Calls a function whose result is a stream; every item goes to `each` until it returns false, which cancels.
  [[nodiscard]] result<std::uint32_t> stream(const value& arguments,
                                             const detail::call_settings& how,
                                             const std::function<bool(const value&)>& each) const;

  /// Calls once for every item with at most `how.in_flight` under way; `done` gets the item's number and outcome, in the
  /// order of items when `how.ordered`. `next` gives the arguments, or nothing at the end; both run on this thread.
  void map(const std::function<std::optional<value>()>& next,
           const detail::call_settings& how,
           const std::function<void(std::uint64_t, const result<dynamic_reply>&)>& done) const;

  [[nodiscard]] const detail::callee_ref& callee() const noexcept { return callee_; }

 private:
  explicit dynamic_function(detail::callee_ref of) : callee_(std::move(of)) {}

  detail::callee_ref callee_;
};

}  // namespace berth::client
