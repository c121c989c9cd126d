// Which of many pending outcomes is done next.

#include <berth/call.hpp>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>

namespace berth::detail {

struct done_list::state {
  std::mutex mutex;
  std::condition_variable arrived;
  std::deque<std::uint64_t> tokens;
};

namespace {

struct watched {
  std::shared_ptr<done_list::state> list;
  std::uint64_t token;
  pending_ref<pending> one;
};

}  // namespace

done_list::done_list() : state_(std::make_shared<state>()) {}

done_list::~done_list() = default;

void done_list::watch(pending& one, std::uint64_t token) {
  one.add_ref();
  auto* watch = new watched{state_, token, pending_ref<pending>(&one)};
  one.on_done(
      [](void* argument) {
        const std::unique_ptr<watched> done(static_cast<watched*>(argument));
        const std::lock_guard lock(done->list->mutex);
        done->list->tokens.push_back(done->token);
        done->list->arrived.notify_one();
      },
      watch);
}

std::uint64_t done_list::wait() {
  std::unique_lock lock(state_->mutex);
  state_->arrived.wait(lock, [&] { return !state_->tokens.empty(); });
  const auto token = state_->tokens.front();
  state_->tokens.pop_front();
  return token;
}

}  // namespace berth::detail
