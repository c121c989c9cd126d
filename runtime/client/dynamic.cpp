#include "runtime/client/dynamic.hpp"

#include "runtime/value/message.hpp"

#include <cstring>
#include <map>
#include <utility>

namespace berth::client {
namespace {

// The version stands for the worker's own signature; an empty one asks for self-describing calls.
constexpr const char* no_signature = "";

result<value> value_of(const block_view& view) {
  if (view.block.empty()) return value();
  return value_from_message(view.block);
}

}  // namespace

result<dynamic_function> dynamic_function::bind(std::shared_ptr<session> of,
                                                const std::string& ref) {
  auto bound = detail::callee::bind(std::move(of), ref, {}, no_signature);
  if (!bound) return std::move(bound).error();
  return dynamic_function(*std::move(bound));
}

result<dynamic_reply> dynamic_function::call(const value& arguments,
                                             const detail::call_settings& how) const {
  auto message = value_to_message(arguments);
  if (!message) return std::move(message).error();
  detail::sync_call one(callee_, how);
  for (;;) {
    std::byte* room = one.begin({message->size(), 0});
    if (room == nullptr) return std::move(one.error());
    std::memcpy(room, message->data(), message->size());
    switch (one.finish({})) {
      case detail::sync_call::step::again:
        continue;
      case detail::sync_call::step::failed:
        return std::move(one.error());
      case detail::sync_call::step::answered:
        break;
    }
    auto said = value_of(one.reply());
    if (!said) return std::move(said).error();
    return dynamic_reply{*std::move(said), one.version()};
  }
}

result<std::uint32_t> dynamic_function::stream(
    const value& arguments,
    const detail::call_settings& how,
    const std::function<bool(const value&)>& each) const {
  auto message = value_to_message(arguments);
  if (!message) return std::move(message).error();
  auto one = detail::stream_call::make(callee_, how, detail::stream_call::items::none);
  std::memcpy(one->room({message->size(), 0}), message->data(), message->size());
  one->start({});
  for (;;) {
    switch (one->next(detail::stream_call::wish::reads)) {
      case detail::stream_call::turn::item: {
        auto item = value_of(one->block());
        if (!item) return std::move(item).error();
        if (!each(*item)) return one->version();
        break;
      }
      case detail::stream_call::turn::room:
        break;
      case detail::stream_call::turn::answered:
        return one->version();
      case detail::stream_call::turn::failed:
        return std::move(one->error());
    }
  }
}

void dynamic_function::map(
    const std::function<std::optional<value>()>& next,
    const detail::call_settings& how,
    const std::function<void(std::uint64_t, const result<dynamic_reply>&)>& done) const {
  detail::done_list ended;
  std::map<std::uint64_t, detail::pending_ref<detail::async_call>> under_way;
  std::map<std::uint64_t, result<dynamic_reply>> kept;  // done, but an earlier item is not
  std::uint64_t started = 0;
  std::uint64_t told = 0;
  auto give = [&](std::uint64_t number, result<dynamic_reply> outcome) {
    if (!how.ordered) return done(number, outcome);
    kept.emplace(number, std::move(outcome));
    for (auto at = kept.find(told); at != kept.end(); at = kept.find(told)) {
      done(told++, at->second);
      kept.erase(at);
    }
  };
  bool more = true;
  while (more || !under_way.empty()) {
    while (more && under_way.size() + kept.size() < how.in_flight) {
      auto arguments = next();
      if (!arguments) {
        more = false;
        break;
      }
      const auto number = started++;
      auto message = value_to_message(*arguments);
      if (!message) {
        give(number, std::move(message).error());
        continue;
      }
      auto call = detail::async_call::make(callee_, how);
      std::memcpy(call->room({message->size(), 0}), message->data(), message->size());
      ended.watch(*call, number);
      call->start({});
      under_way.emplace(number, std::move(call));
    }
    if (under_way.empty()) continue;
    const auto number = ended.wait();
    auto node = under_way.extract(number);
    auto& call = *node.mapped();
    if (auto* why = call.failed(); why != nullptr) {
      give(number, std::move(*why));
    } else {
      auto said = value_of(call.reply());
      if (said)
        give(number, dynamic_reply{*std::move(said), call.version()});
      else
        give(number, std::move(said).error());
    }
  }
}

}  // namespace berth::client
