#pragma once
// What the queue's tests share: small clusters, short demands, and a watcher that recounts everything from outside.

#include "scheduler/feasible.hpp"
#include "scheduler/queue_simulator.hpp"
#include "scheduler/random_source.hpp"

#include <cstdlib>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace berth::sched::test {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

/// The seed of a random test: BERTH_SEED, else a new one. Tests print it with each failure.
inline std::uint64_t seed_of_run() {
  if (const char* const given = std::getenv("BERTH_SEED")) return std::strtoull(given, nullptr, 0);
  return std::random_device{}();
}

/// How many seeds a random test tries, from the first on: BERTH_WORLDS, else `usual`.
inline std::uint64_t worlds_of_run(std::uint64_t usual) {
  const char* const given = std::getenv("BERTH_WORLDS");
  return given == nullptr ? usual : std::strtoull(given, nullptr, 0);
}

inline node_spec node_of(std::string name,
                         std::size_t gpus,
                         std::string model = "H100",
                         std::string rack = {},
                         std::int64_t cpus = 128) {
  node_spec spec;
  spec.name = std::move(name);
  spec.cpu_milli = cpus * 1000;
  spec.memory_mib = 1 << 20;
  spec.topology = base::uniform_topology(gpus, std::move(model), 81920, 478116, 2);
  if (!rack.empty()) spec.labels["rack"] = std::move(rack);
  return spec;
}

inline std::vector<node_spec> equal_nodes(std::size_t count, std::size_t gpus) {
  std::vector<node_spec> nodes;
  for (std::size_t i = 0; i < count; ++i)
    nodes.push_back(node_of("n" + std::to_string(i), gpus));
  return nodes;
}

inline demand gpus_for(std::string team, std::uint16_t gpus, std::string name = "work") {
  demand wanted;
  wanted.name = std::move(name);
  wanted.team = std::move(team);
  wanted.each.gpus = gpus;
  wanted.each.gpu_milli = gpus == 0 ? 0 : 1000;
  wanted.each.cpu_milli = 1000;
  wanted.each.memory_mib = 1024;
  return wanted;
}

inline std::unique_ptr<work_queue> queue_on(const std::vector<node_spec>& specs,
                                            queue_options options = {}) {
  inventory nodes;
  for (const auto& spec : specs)
    (void)nodes.add(spec).value();
  return std::move(work_queue::make(std::move(nodes), options).value());
}

/// The first effect of that sort for a job, or nothing.
inline std::optional<effect> find_effect(const std::vector<effect>& all, act what, job_id job) {
  for (const auto& one : all)
    if (one.what == what && one.job == job) return one;
  return std::nullopt;
}

inline std::size_t count_effects(const std::vector<effect>& all, act what) {
  std::size_t count = 0;
  for (const auto& one : all)
    count += one.what == what;
  return count;
}

/// Whether one more job of a line would fit on the nodes that are open, within its team's quotas: tried in every way to
/// deal its ranks out to the nodes. (Nodes have devices of one model, so whichever of them are taken counts alike.)
class every_way {
 public:
  every_way(const work_queue& queue, const line_view& line, const node_mask& open)
      : queue_(queue),
        line_(line.id),
        open_(open),
        nodes_(queue.nodes()),
        wanted_(*line.wanted),
        one_(wanted_) {
    one_.gang.reset();
    one_.affinity.reset();
    one_.replicas = wanted_.replicas = 1;
    if (wanted_.gang) wanted_.gang->ranks_max = wanted_.gang->ranks_min;
    if (wanted_.affinity && wanted_.affinity->force == strength::required)
      floor_ = wanted_.affinity->within;
  }

  bool fits() {
    if (floor_ < proximity::node) return fits_from(0, ranks_min(wanted_));
    auto by = make_policy("bestfit").value();
    for (node_id node = 0; node < nodes_.size(); ++node) {
      node_mask only(open_.size(), 0);
      only[node] = open_[node];
      if (const auto placed = plan(nodes_, *by, wanted_, {&only, {}});
          placed && within_quota(placed->ranks))
        return true;
    }
    return false;
  }

 private:
  bool fits_from(node_id first, std::uint32_t ranks) {
    if (ranks == 0) return within_quota(taken_);
    for (auto node = first; node < nodes_.size(); ++node) {
      const bool apart = floor_ == proximity::rack && !taken_.empty()
                         && nodes_.rack(node) != nodes_.rack(taken_.front().node);
      if (apart || why_not(nodes_, one_, node, {&open_, {}}) != obstacle::none) continue;
      taken_.push_back({node, best_fit_devices(nodes_, compile(nodes_, one_), node)});
      const auto held = nodes_.reserve({one_.each, {taken_.back()}, proximity::device, 0}).value();
      const bool found = fits_from(node, ranks - 1);
      nodes_.release(held).value();
      taken_.pop_back();
      if (found) return true;
    }
    return false;
  }

  [[nodiscard]] bool within_quota(const std::vector<slot>& ranks) const {
    const auto count = static_cast<std::int64_t>(ranks.size());
    holding load;
    load.milli = count * one_.each.milli();
    load.cpu_milli = count * one_.each.cpu_milli;
    load.memory_mib = count * one_.each.memory_mib;
    std::map<std::uint8_t, std::int64_t> by_model;
    for (const auto& rank : ranks)
      if (rank.devices != 0) by_model[nodes_.kind(rank.node).model.front()] += one_.each.milli();
    load.by_model.assign(by_model.begin(), by_model.end());
    return queue_.quota_for(line_, load) <= quota_room::borrows;
  }

  const work_queue& queue_;
  line_id line_;
  const node_mask& open_;
  inventory nodes_;
  demand wanted_;
  demand one_;
  proximity floor_ = proximity::cluster;
  std::vector<slot> taken_;
};

/// Watches a queue from outside and recounts what it promises. Tell it each effect, and `look` after each advance.
class watcher {
 public:
  explicit watcher(std::string context) : context_(std::move(context)) {}

  void hear(const work_queue& queue, const effect& one) {
    if (one.what == act::leave) {
      const auto line = queue.line(one.job.line);
      ASSERT_TRUE(line.has_value()) << context_;
      EXPECT_EQ(line->wanted->preemptible, preemption::allowed) << context_;
      EXPECT_GE(one.at - started_at_.at(one.job), line->wanted->run_min)
          << context_ << ": too early";
      leaving_[one.job] = one;
    }
    if (one.what == act::stay) leaving_.erase(one.job);
    if (one.what == act::evicted || one.what == act::moved) {
      ASSERT_TRUE(one.by.has_value()) << context_;
      ASSERT_TRUE(leaving_.contains(one.job)) << context_ << ": evicted without notice";
      EXPECT_LE(one.at, *leaving_.at(one.job).until) << context_;
      const auto pair =
          one.job < *one.by ? std::pair(one.job, *one.by) : std::pair(*one.by, one.job);
      EXPECT_TRUE(evicted_pairs_.insert(pair).second)
          << context_ << ": a pair met twice (" << one.job.line << ", " << one.by->line << ")";
      waiting_for_start_.insert(*one.by);
      leaving_.erase(one.job);
    }
    if (one.what == act::started) {
      waiting_for_start_.erase(one.job);
      started_at_[one.job] = one.at;
    }
    if (one.what == act::overran || one.what == act::cancelled || one.what == act::lost)
      leaving_.erase(one.job);
  }

  void look(const work_queue& queue) {
    EXPECT_TRUE(waiting_for_start_.empty()) << context_ << ": evicted, and the other did not start";
    waiting_for_start_.clear();
    recount_nodes(queue);
    recount_quotas(queue);
    nothing_waits_that_fits(queue);
    EXPECT_EQ(queue.counters().promises_late, 0u) << context_;
  }

 private:
  void recount_nodes(const work_queue& queue) {
    const auto& nodes = queue.nodes();
    std::map<std::pair<node_id, std::size_t>, std::pair<std::int64_t, std::int64_t>> devices;
    std::map<node_id, std::pair<std::int64_t, std::int64_t>> hosts;
    for (const auto& job : queue.jobs()) {
      const auto ranks = job.where->ranks.size();
      EXPECT_GE(ranks, ranks_min(*job.wanted)) << context_;
      EXPECT_LE(ranks, ranks_max(*job.wanted)) << context_;
      const auto& near = job.wanted->affinity;
      if (near && near->force == strength::required) {
        EXPECT_GE(job.where->within, near->within) << context_ << ": line " << job.id.line;
      }
      for (const auto& rank : job.where->ranks) {
        hosts[rank.node].first += job.wanted->each.cpu_milli;
        hosts[rank.node].second += job.wanted->each.memory_mib;
        std::uint16_t count = 0;
        for (std::size_t device = 0; device < 64; ++device) {
          if ((rank.devices >> device & 1U) == 0) continue;
          ++count;
          auto& [milli, memory] = devices[{rank.node, device}];
          milli += job.wanted->each.gpu_milli;
          memory += job.wanted->each.device_memory_mib;
        }
        EXPECT_EQ(count, job.wanted->each.gpus) << context_;
      }
    }
    for (const auto& [node, used] : hosts) {
      EXPECT_LE(used.first, nodes.kind(node).cpu_milli) << context_;
      EXPECT_LE(used.second, nodes.kind(node).memory_mib) << context_;
    }
    for (const auto& [device, used] : devices) {
      EXPECT_LE(used.first, 1000) << context_;
      EXPECT_LE(used.second, nodes.kind(device.first).device_memory_mib[device.second]) << context_;
    }
  }

  struct tally {
    std::int64_t all = 0;
    std::int64_t firm = 0;  ///< of work that is not preemptible
  };

  void recount_quotas(const work_queue& queue) {
    const auto& teams = queue.teams();
    // By "gpus", "cpu", "memory" or the name of a model.
    std::map<team_id, std::map<std::string, tally>> held;
    const auto count = [&](const job_view& job, const std::string& key, std::int64_t amount) {
      teams.each_above(job.team, [&](team_id team) {
        held[team][key].all += amount;
        if (job.wanted->preemptible == preemption::never) held[team][key].firm += amount;
      });
    };
    for (const auto& job : queue.jobs())
      for (const auto& rank : job.where->ranks) {
        count(job, "cpu", job.wanted->each.cpu_milli);
        count(job, "memory", job.wanted->each.memory_mib);
        const auto& kind = queue.nodes().kind(rank.node);
        for (std::size_t device = 0; device < kind.model.size(); ++device) {
          if ((rank.devices >> device & 1U) == 0) continue;
          count(job, "gpus", job.wanted->each.gpu_milli);
          count(job, queue.nodes().models()[kind.model[device]], job.wanted->each.gpu_milli);
        }
      }
    for (team_id team = 0; team < teams.size(); ++team) {
      const auto& spec = teams.spec(team);
      const auto check = [&](const std::string& key, std::int64_t quota, std::int64_t borrow) {
        const auto [all, firm] = held[team][key];
        EXPECT_LE(firm, quota) << context_ << ": team " << spec.name << " " << key;
        EXPECT_LE(all, quota + borrow) << context_ << ": team " << spec.name << " " << key;
      };
      if (spec.quota_milli) check("gpus", *spec.quota_milli, spec.borrow_milli);
      if (spec.cpu_quota_milli) check("cpu", *spec.cpu_quota_milli, spec.cpu_borrow_milli);
      if (spec.memory_quota_mib) check("memory", *spec.memory_quota_mib, spec.memory_borrow_mib);
      for (const auto& [model, quota] : spec.model_quotas)
        check(model, quota, spec.borrow_milli);
    }
  }

  void nothing_waits_that_fits(const work_queue& queue) {
    for (const auto& line : queue.lines()) {
      if (line.waiting == 0 || line.hold == hold_state::held) continue;
      const auto room = queue.quota_for(line.id);
      if (room == quota_room::full || room == quota_room::never) continue;
      node_mask open(queue.nodes().size() + score_mask_padding, 0xFF);
      const auto now = queue.now();
      for (const auto& bar : queue.bars().bars()) {
        const bool own = bar.why == bar::reason::promise && bar.owner == line.id;
        const bool over = bar.until && *bar.until <= now;
        const bool ends_before = line.wanted->limit && now + *line.wanted->limit <= bar.from;
        if (!own && !over && !ends_before) open[bar.node] = 0;
      }
      EXPECT_FALSE(every_way(queue, line, open).fits())
          << context_ << ": line " << line.id << " waits at " << now.count() << " ms and fits";
    }
  }

  std::string context_;
  std::map<job_id, effect> leaving_;
  std::map<job_id, instant> started_at_;
  std::set<std::pair<job_id, job_id>> evicted_pairs_;
  std::set<job_id> waiting_for_start_;
};

}  // namespace berth::sched::test
