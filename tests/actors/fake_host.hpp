#pragma once
// A worker host without processes: workers are rows in a table that become ready at once, unless told otherwise.

#include "actors/worker_host.hpp"

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

namespace berth::actors::doubles {

class fake_host final : public actors::worker_host {
 public:
  struct worker {
    actors::replica_order order;
    std::map<std::uint32_t, std::uint64_t> gates;
    bool draining = false;
  };

  void listen(std::function<void(actors::replica_event)> sink) override {
    std::lock_guard hold(mutex_);
    sink_ = std::move(sink);
  }

  result<void> start(const actors::replica_order& what) override {
    {
      std::lock_guard hold(mutex_);
      if (refuses.contains(what.digest))
        return fail(kind::missing, "content_missing", "a blob is not held");
      ++started;
      auto& one = workers_[what.replica];
      one.order = what;
      for (const auto& gate : what.gates)
        one.gates[gate.slot] = gate.revision;
    }
    tell(what.replica, actors::replica_event::what::started);
    if (unfit.contains(what.digest)) {
      tell(what.replica, actors::replica_event::what::unfit,
           fail(kind::invalid, "health", "the health hook threw: no weights"));
      end(what.replica);
    } else {
      tell(what.replica, actors::replica_event::what::ready);
    }
    return {};
  }

  void drain(std::uint64_t replica, std::chrono::milliseconds) override { end(replica); }

  void kill(std::uint64_t replica) override { end(replica); }

  /// The worker's process is gone.
  void end(std::uint64_t replica) {
    {
      std::lock_guard hold(mutex_);
      if (workers_.erase(replica) == 0) return;
    }
    tell(replica, actors::replica_event::what::ended,
         fail(kind::outcome_unknown, "worker_died", "ended by SIGSEGV"));
    changed_.notify_all();
  }

  void close(const std::string& name, const std::vector<actors::gate>& gates) override {
    std::lock_guard hold(mutex_);
    ++closes;
    for (auto& [id, one] : workers_)
      if (one.order.name == name)
        for (const auto& gate : gates)
          one.gates[gate.slot] = std::max(one.gates[gate.slot], gate.revision);
  }

  std::vector<actors::worker_row> workers(const std::string& prefix) override {
    std::lock_guard hold(mutex_);
    std::vector<actors::worker_row> rows;
    for (const auto& [id, one] : workers_) {
      if (!one.order.name.starts_with(prefix)) continue;
      actors::worker_row row;
      row.replica = id;
      row.name = one.order.name;
      row.version = one.order.version;
      row.state = "ready";
      rows.push_back(row);
    }
    return rows;
  }

  std::vector<actors::verbs::counter_row> counters(const std::string&) override {
    return {{"me", "a@prod", 1, "ok", 42}};
  }

  actors::call_fate fate(std::uint64_t replica, std::uint64_t, std::uint64_t) override {
    std::lock_guard hold(mutex_);
    ++fates_asked_;
    changed_.notify_all();
    return {workers_.contains(replica) ? "started" : "finished", !workers_.contains(replica), ""};
  }

  std::vector<actors::verbs::log_row> log_lines(const std::string& prefix, std::uint32_t) override {
    return {{"", "worker:1", prefix, 1, 0, "out", "an old line", 0}};
  }

  void follow_logs(std::uint64_t id,
                   std::string,
                   std::function<void(std::vector<actors::verbs::log_row>)> sink) override {
    std::lock_guard hold(mutex_);
    readers_[id] = std::move(sink);
    changed_.notify_all();
  }

  void unfollow_logs(std::uint64_t id) override {
    std::lock_guard hold(mutex_);
    readers_.erase(id);
    changed_.notify_all();
  }

  void stop() override {}

  void print(const std::string& line) {
    std::lock_guard hold(mutex_);
    for (const auto& [id, to] : readers_)
      to({{"", "worker:1", "a", 1, 0, "out", line, 0}});
  }

  /// Waits until `what` holds of the table of workers; false after ten seconds.
  bool until(const std::function<bool(const std::map<std::uint64_t, worker>&)>& what) {
    std::unique_lock hold(mutex_);
    return changed_.wait_for(hold, std::chrono::seconds(10), [&] { return what(workers_); });
  }

  bool until_readers(std::size_t n) {
    std::unique_lock hold(mutex_);
    return changed_.wait_for(hold, std::chrono::seconds(10), [&] { return readers_.size() == n; });
  }

  /// Waits until fates were asked for `n` times.
  bool until_asked(std::size_t n) {
    std::unique_lock hold(mutex_);
    return changed_.wait_for(hold, std::chrono::seconds(10), [&] { return fates_asked_ >= n; });
  }

  std::map<std::uint64_t, worker> table() {
    std::lock_guard hold(mutex_);
    return workers_;
  }

  std::set<std::string> unfit;    ///< digests whose workers say so
  std::set<std::string> refuses;  ///< digests that cannot even start
  std::atomic<int> started{0};
  std::atomic<int> closes{0};

 private:
  void tell(std::uint64_t replica, actors::replica_event::what happened, error_info why = {}) {
    std::function<void(actors::replica_event)> to;
    {
      std::lock_guard hold(mutex_);
      to = sink_;
    }
    actors::replica_event event;
    event.replica = replica;
    event.happened = happened;
    event.pid = static_cast<std::int64_t>(1000 + replica);
    event.load_us = 1500;
    event.health_us = 2500;
    event.why = std::move(why);
    if (to) to(std::move(event));
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void(actors::replica_event)> sink_;
  std::size_t fates_asked_ = 0;
  std::map<std::uint64_t, worker> workers_;
  std::map<std::uint64_t, std::function<void(std::vector<actors::verbs::log_row>)>> readers_;
};

}  // namespace berth::actors::doubles
