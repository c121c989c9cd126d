#include "runtime/net/call_messages.hpp"

#include "runtime/wire/call.capnp.h"

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <algorithm>
#include <cstring>

namespace berth::net {
namespace {

constexpr std::size_t trail_lines_max = 64;

std::vector<std::byte> bytes_of(capnp::MessageBuilder& message) {
  const auto words = capnp::messageToFlatArray(message);
  const auto chars = words.asBytes();
  const auto* first = reinterpret_cast<const std::byte*>(chars.begin());
  return {first, first + chars.size()};
}

kj::StringPtr text_of(const std::string& text) {
  return {text.c_str(), text.size()};
}

kj::ArrayPtr<const kj::byte> data_of(const std::string& text) {
  return {reinterpret_cast<const kj::byte*>(text.data()), text.size()};
}

std::string string_of(capnp::Text::Reader text) {
  return {text.cStr(), text.size()};
}

std::string string_of(capnp::Data::Reader data) {
  return {reinterpret_cast<const char*>(data.begin()), data.size()};
}

/// Reads one message of `Root` and hands it to `take`; false when the bytes are none. The traversal limit is the
/// message's own size, so that a small message cannot claim a large one by pointing twice at the same words.
template <class Root, class Take>
bool read(std::span<const std::byte> body, Take take) {
  const auto words = body.size() / sizeof(capnp::word);
  if (words == 0 || body.size() % sizeof(capnp::word) != 0) return false;
  std::vector<capnp::word> aligned(words);
  std::memcpy(static_cast<void*>(aligned.data()), body.data(), body.size());
  capnp::ReaderOptions limits;
  limits.traversalLimitInWords = words + 16;
  limits.nestingLimit = 8;
  const auto wrong = kj::runCatchingExceptions([&] {
    capnp::FlatArrayMessageReader reader({aligned.data(), aligned.size()}, limits);
    take(reader.template getRoot<Root>());
  });
  return wrong == nullptr;
}

error_info no_message(const char* what) {
  return fail(kind::invalid, "bad_message", std::string("the peer sent bytes that are no ") + what);
}

}  // namespace

std::vector<std::byte> encode_failure(const error_info& why) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<wire::Failure>();
  root.setKind(static_cast<std::uint8_t>(why.kind));
  root.setCode(text_of(why.code));
  root.setMessage(text_of(why.message));
  const auto lines = std::min(why.trail.size(), trail_lines_max);
  auto trail = root.initTrail(static_cast<unsigned>(lines));
  for (unsigned i = 0; i < lines; ++i)
    trail.set(i, text_of(why.trail[i]));
  root.setRetryAfterMs(why.retry_after_ms);
  root.setDetail(data_of(why.detail));
  root.setDetailType(data_of(why.detail_type));
  return bytes_of(message);
}

error_info decode_failure(std::span<const std::byte> body) {
  error_info why;
  bool known_kind = false;
  const bool read_it = read<wire::Failure>(body, [&](wire::Failure::Reader from) {
    known_kind = !to_string(static_cast<kind>(from.getKind())).starts_with("unknown");
    why.kind = static_cast<kind>(from.getKind());
    why.code = string_of(from.getCode());
    why.message = string_of(from.getMessage());
    for (const auto line : from.getTrail()) {
      if (why.trail.size() == trail_lines_max) break;
      why.trail.push_back(string_of(line));
    }
    why.retry_after_ms = from.getRetryAfterMs();
    why.detail = string_of(from.getDetail());
    why.detail_type = string_of(from.getDetailType());
  });
  if (!read_it || !known_kind)
    return fail(kind::disconnected, "bad_frame",
                "the peer answered with an error that cannot be read");
  return why;
}

std::vector<std::byte> encode(const bind_request& what) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<wire::Bind>();
  root.setRef(text_of(what.ref));
  root.setTagSlot(what.tag_slot);
  root.setMethod(text_of(what.method));
  root.setSignature(data_of(what.signature));
  return bytes_of(message);
}

std::vector<std::byte> encode(const bind_reply& what) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<wire::Bound>();
  root.setBinding(what.binding);
  root.setLink(what.link);
  root.setVersion(what.version);
  root.setSignature(data_of(what.signature));
  root.setIdempotent(what.idempotent);
  return bytes_of(message);
}

result<bind_request> decode_bind_request(std::span<const std::byte> body) {
  bind_request what;
  const bool read_it = read<wire::Bind>(body, [&](wire::Bind::Reader from) {
    what.ref = string_of(from.getRef());
    what.tag_slot = from.getTagSlot();
    what.method = string_of(from.getMethod());
    what.signature = string_of(from.getSignature());
  });
  if (!read_it) return no_message("bind request");
  return what;
}

result<bind_reply> decode_bind_reply(std::span<const std::byte> body) {
  bind_reply what;
  const bool read_it = read<wire::Bound>(body, [&](wire::Bound::Reader from) {
    what.binding = from.getBinding();
    what.link = from.getLink();
    what.version = from.getVersion();
    what.signature = string_of(from.getSignature());
    what.idempotent = from.getIdempotent();
  });
  if (!read_it) return no_message("answer to a bind request");
  return what;
}

void write_report(std::byte* to, const report& what) noexcept {
  const auto kind = static_cast<std::uint32_t>(what.kind);
  const auto size = static_cast<std::uint32_t>(report_bytes(what.text) - report_head_bytes);
  std::memcpy(to, &what.value, sizeof what.value);
  std::memcpy(to + 8, &kind, sizeof kind);
  std::memcpy(to + 12, &size, sizeof size);
  std::memcpy(to + report_head_bytes, what.text.data(), size);
}

std::optional<report> read_report(std::span<const std::byte> body) noexcept {
  if (body.size() < report_head_bytes) return std::nullopt;
  report what;
  std::uint32_t kind = 0;
  std::uint32_t size = 0;
  std::memcpy(&what.value, body.data(), sizeof what.value);
  std::memcpy(&kind, body.data() + 8, sizeof kind);
  std::memcpy(&size, body.data() + 12, sizeof size);
  if (kind > 1 || size > report_text_max || size > body.size() - report_head_bytes)
    return std::nullopt;
  what.kind = static_cast<report::what>(kind);
  what.text = {reinterpret_cast<const char*>(body.data()) + report_head_bytes, size};
  return what;
}

}  // namespace berth::net
