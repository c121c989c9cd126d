#include "runtime/worker/arguments.hpp"

#include "runtime/value/lane_memory.hpp"
#include "runtime/value/message.hpp"

#include <algorithm>

namespace berth::worker {
namespace {

const parameter& stream_parameter(const signature& of) {
  return *std::find_if(of.params.begin(), of.params.end(),
                       [](const parameter& one) { return one.flow == flow::stream; });
}

}  // namespace

view_of_body::view_of_body(std::span<const std::byte> body,
                           std::span<const base::external> externals) {
  view_.block = body.data();
  view_.size = body.size();
  if (externals.empty()) return;
  for (const auto& one : externals)
    owned_.push_back(detail::from_lane(one));
  refer();
}

view_of_body::view_of_body(const hot_block& block) {
  view_.block = block.block.data();
  view_.size = block.block.size();
  if (block.externals.empty()) return;
  owned_ = block.externals;
  refer();
}

void view_of_body::refer() {
  for (const auto& one : owned_)
    plain_.push_back({one.data, one.bytes, one.owner ? &one.owner : nullptr});
  view_.externals = plain_.data();
  view_.count = static_cast<std::uint32_t>(plain_.size());
}

view_for_codec::view_for_codec(const berth_view& from)
    : block_(static_cast<const std::byte*>(from.block), from.size) {
  for (std::uint32_t i = 0; i < from.count; ++i) {
    const auto& one = from.externals[i];
    const auto* owner = static_cast<const std::shared_ptr<memory>*>(one.owner);
    externals_.push_back(
        {static_cast<const std::byte*>(one.data), one.size, owner != nullptr ? *owner : nullptr});
  }
}

result<hot_block> arguments_for(const binding& with, const berth_view& received) {
  const view_for_codec from(received);
  if (with.as == binding::form::evolved)
    return transcode_arguments(with.caller, with.what->shown(), from.view());
  const auto said = value_from_message(from.view().block);
  if (!said) return said.error();
  return encode_hot(with.what->shown(), *said);
}

result<hot_block> item_for(const binding& with, const berth_view& received) {
  const view_for_codec from(received);
  const auto& wanted = stream_parameter(with.what->shown()).shape;
  auto said = with.as == binding::form::evolved
                  ? decode_hot(stream_parameter(with.caller).shape, from.view())
                  : value_from_message(from.view().block);
  if (!said) return said.error();
  return encode_hot(wanted, *said);
}

}  // namespace berth::worker
