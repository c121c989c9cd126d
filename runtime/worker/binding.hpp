#pragma once
// Bindings: what one caller agreed on with this worker, link by link.

#include "runtime/net/call_messages.hpp"
#include "runtime/worker/item_flow.hpp"
#include "runtime/worker/replica.hpp"
#include "runtime/worker/running_call.hpp"

#include <berth/error.hpp>
#include <berth/shape.hpp>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace berth::worker {

/// One agreement. Lives as long as its link.
struct binding {
  /// How the caller's blocks become the version's.
  enum class form : std::uint8_t {
    same,             ///< as they are
    evolved,          ///< transcoded from and to the caller's older signature
    self_describing,  ///< values that say themselves what they are
  };
  const method* what = nullptr;
  std::uint32_t tag_slot = 0;
  std::uint32_t counter = 0;  ///< slot in the worker page
  form as = form::same;
  berth::signature caller;  ///< when evolved
};

/// Decides whether `from` may call what this replica serves. Errors: `missing` (no such method; names those there are),
/// `invalid` (signature_mismatch; both printed).
[[nodiscard]] result<binding> agree(const replica& serves, const net::bind_request& from);

/// What a worker keeps of one link. Threads: `bindings` belongs to the link's handler functions (elements stay where
/// they are); `flows` has a lock.
struct link_state {
  std::uint32_t ledger = 0;  ///< slot in the worker page
  caller_facts caller;
  std::deque<binding> bindings;

  [[nodiscard]] std::shared_ptr<item_flow> flow_of(std::uint64_t call) const {
    const std::lock_guard lock(mutex);
    const auto at = flows.find(call);
    return at == flows.end() ? nullptr : at->second;
  }

  /// Ends the waits of all streams: the caller has gone.
  void stop_flows() const {
    const std::lock_guard lock(mutex);
    for (const auto& [call, flow] : flows)
      flow->stop();
  }

  mutable std::mutex mutex;
  std::map<std::uint64_t, std::shared_ptr<item_flow>> flows;  ///< by call
};

}  // namespace berth::worker
