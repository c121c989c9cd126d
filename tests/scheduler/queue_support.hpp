#pragma once
// What the queue's tests share: small clusters, short demands, and a watcher that recounts everything from outside.

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
      if (queue.teams().has_model_quotas(line.team)) continue;
      std::vector<std::uint8_t> open(queue.nodes().size() + score_mask_padding, 0xFF);
      const auto now = queue.now();
      for (const auto& bar : queue.bars().bars()) {
        const bool own = bar.why == bar::reason::promise && bar.owner == line.id;
        const bool over = bar.until && *bar.until <= now;
        const bool ends_before = line.wanted->limit && now + *line.wanted->limit <= bar.from;
        if (!own && !over && !ends_before) open[bar.node] = 0;
      }
      auto nodes = queue.nodes();
      auto by = make_policy("bestfit").value();
      auto least = *line.wanted;
      least.replicas = 1;
      if (least.gang) least.gang->ranks_max = least.gang->ranks_min;
      const auto placed = plan(nodes, *by, least, {&open, {}});
      EXPECT_FALSE(placed) << context_ << ": line " << line.id << " waits at " << now.count()
                           << " ms and fits";
    }
  }

  std::string context_;
  std::map<job_id, effect> leaving_;
  std::map<job_id, instant> started_at_;
  std::set<std::pair<job_id, job_id>> evicted_pairs_;
  std::set<job_id> waiting_for_start_;
};

}  // namespace berth::sched::test
