#pragma once
// fgd: fragmentation gradient descent, as published: the node whose fragmentation grows least takes the work.
//
// The score is int(100 * sigmoid(decrease of F / 1000 milli)). The truncation is part of the method: with ties going to
// the lowest node it acts as first fit and keeps nodes whole; the exact gradient places worse.

#include "scheduler/policy.hpp"

#include <memory>

namespace berth::sched {

/// Uses `options.target` as its workload; when that is empty, the most frequent 95 % of what has arrived so far.
[[nodiscard]] std::unique_ptr<policy> make_fgd_policy(const policy_options& options);

}  // namespace berth::sched
