#include "runtime/worker/caller_stream.hpp"

#include <utility>

namespace berth::worker {

int caller_stream::pull(void* self, berth_view* item, berth_failure* why) {
  return static_cast<caller_stream*>(self)->pull_one(item, why);
}

int caller_stream::pull_one(berth_view* item, berth_failure* why) {
  view_.reset();
  if (const auto room = flow_->taken(); room > 0) from_.grant(call_, room);
  switch (flow_->pull(current_)) {
    case item_flow::pulled::end:
      return 0;
    case item_flow::pulled::stopped:
      return fails(fail(kind::cancelled, "stopped", "the caller has gone or its deadline passed"),
                   why);
    case item_flow::pulled::item:
      break;
  }
  view_.emplace(current_.body.bytes(), current_.externals);
  if (with_.as != binding::form::same) {
    auto translated = item_for(with_, view_->view());
    if (!translated) return fails(std::move(translated).error(), why);
    translated_ = *std::move(translated);
    view_.emplace(translated_);
  }
  *item = view_->view();
  return 1;
}

int caller_stream::fails(error_info why, berth_failure* to) {
  why_ = std::move(why);
  *to = {};
  to->kind = static_cast<std::uint8_t>(why_.kind);
  to->code = {why_.code.data(), why_.code.size()};
  to->message = {why_.message.data(), why_.message.size()};
  return -1;
}

}  // namespace berth::worker
