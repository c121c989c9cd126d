#pragma once
// fill, the default policy: the node whose expected idle GPU grows least takes the work.
//
// The cost of a placement is the growth of the node's expected idle milli (futures.hpp), plus the prices of the gang
// slots and of the scarce models it uses (prices.hpp), in steps of 10 milli. Everything is learned from arrivals, and
// learned again whenever they have grown by 1.3. After learning, a shape's scores follow a bounded number of nodes at a
// time, so that no decision waits for ten thousand of them.

#include "scheduler/policy.hpp"

#include <memory>

namespace berth::sched {

[[nodiscard]] std::unique_ptr<policy> make_fill_policy(const policy_options& options);

}  // namespace berth::sched
