#pragma once
// A port without connections: keeps what the head answers, for tests to wait for. Every wait ends after 20 s.

#include "actors/control_port.hpp"

#include <berth/error.hpp>
#include <berth/value.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace berth::actors::doubles {

/// What came back, by connection and call.
class recording_port final : public control_port {
 public:
  struct answer {
    std::optional<value> what;
    std::optional<error_info> why;
  };

  using id = std::pair<std::uint64_t, std::uint64_t>;

  void reply(std::uint64_t c, std::uint64_t n, const value& what) override {
    put([&] { final_[{c, n}] = {what, {}}; });
  }

  void fail(std::uint64_t c, std::uint64_t n, const error_info& why) override {
    put([&] { final_[{c, n}] = {{}, why}; });
  }

  void push(std::uint64_t c, std::uint64_t n, const value& what) override {
    put([&] { items_[{c, n}].push_back(what); });
  }

  void note(std::uint64_t c, std::uint64_t n, std::string_view line) override {
    put([&] { notes_[{c, n}].emplace_back(line); });
  }

  answer wait(std::uint64_t c, std::uint64_t n) {
    std::unique_lock hold(mutex_);
    if (!changed_.wait_for(hold, std::chrono::seconds(20), [&] { return final_.contains({c, n}); }))
      return {{}, berth::fail(kind::timed_out, "test", "no answer came")};
    return final_.at({c, n});
  }

  std::optional<value> item(std::uint64_t c, std::uint64_t n) {
    std::unique_lock hold(mutex_);
    if (!changed_.wait_for(hold, std::chrono::seconds(20), [&] { return !items_[{c, n}].empty(); }))
      return {};
    auto out = items_[{c, n}].front();
    items_[{c, n}].pop_front();
    return out;
  }

  std::size_t notes(std::uint64_t c, std::uint64_t n) {
    std::lock_guard hold(mutex_);
    return notes_[{c, n}].size();
  }

 private:
  template <class Change>
  void put(const Change& change) {
    {
      std::lock_guard hold(mutex_);
      change();
    }
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<id, answer> final_;
  std::map<id, std::deque<value>> items_;
  std::map<id, std::vector<std::string>> notes_;
};

}  // namespace berth::actors::doubles
