#include "runtime/worker/running_call.hpp"

#include <berth/here.hpp>

namespace berth {
namespace {

thread_local const detail::running_call* on_this_thread = nullptr;

}  // namespace

namespace detail {

const running_call* set_running(const running_call* call) noexcept {
  const auto* before = on_this_thread;
  on_this_thread = call;
  return before;
}

}  // namespace detail

this_call::this_call(const detail::running_call* call) noexcept : call_(call) {
  if (call == nullptr || call->caller == nullptr) return;
  caller.uid = call->caller->uid;
  caller.pid = call->caller->pid;
  caller.program = call->caller->program;
  caller.version = call->caller->version;
}

bool this_call::stop_requested() const noexcept {
  return call_ != nullptr && call_->stop->stopped(call_->number);
}

std::optional<std::chrono::nanoseconds> this_call::remaining() const noexcept {
  if (call_ == nullptr || call_->deadline == base::never) return std::nullopt;
  return call_->deadline - base::steady::now();
}

std::string_view this_call::version() const noexcept {
  return call_ == nullptr ? std::string_view() : call_->version;
}

std::uint64_t this_call::id() const noexcept {
  return call_ == nullptr ? 0 : call_->id;
}

void this_call::progress(double fraction, std::string_view message) const {
  if (call_ != nullptr && call_->reports != nullptr) call_->reports->progress(fraction, message);
}

void this_call::metric(std::string_view name, double value) const {
  if (call_ != nullptr && call_->reports != nullptr) call_->reports->metric(name, value);
}

this_call here() noexcept {
  return this_call(on_this_thread);
}

}  // namespace berth
