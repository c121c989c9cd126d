#pragma once
// Packet codec: one Cap'n Proto message as the bytes of one packet, and back from a stranger's bytes.
//
// For the sources of this folder only.

#include "runtime/process/packet_socket.hpp"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <berth/error.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace berth::process {

inline std::vector<std::byte> packet_bytes(capnp::MessageBuilder& message) {
  const auto words = capnp::messageToFlatArray(message);
  const auto bytes = words.asBytes();
  std::vector<std::byte> all(bytes.size());
  std::memcpy(all.data(), bytes.begin(), bytes.size());
  return all;
}

/// The packet of one message: `put(root, alternative)` of the caller's folder writes what the variant holds.
template <class Root, class Message, class Put>
std::vector<std::byte> packet_of(const Message& message, Put put) {
  capnp::MallocMessageBuilder builder;
  auto root = builder.initRoot<Root>();
  std::visit([&](const auto& one) { put(root, one); }, message);
  return packet_bytes(builder);
}

/// A duration as the wire carries it: whole milliseconds, a negative one as none.
inline std::uint32_t whole_ms(std::chrono::milliseconds duration) {
  return static_cast<std::uint32_t>(duration.count() < 0 ? 0 : duration.count());
}

/// Runs `read(root)` over the message in `bytes`; what the schema or its limits refuse becomes `invalid`.
/// The traversal limit is twice a packet: pointers that share a text cannot unfold into more.
template <class Root, class Read>
auto from_packet(std::span<const std::byte> bytes, Read read)
    -> decltype(read(std::declval<typename Root::Reader>())) {
  if (bytes.size() > packet_bytes_max || bytes.size() % sizeof(capnp::word) != 0)
    return fail(kind::invalid, "bad_message", "a control message that is no Cap'n Proto message");
  auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
  if (!bytes.empty()) std::memcpy(words.begin(), bytes.data(), bytes.size());
  capnp::ReaderOptions limits;
  limits.traversalLimitInWords = 2 * packet_bytes_max / sizeof(capnp::word);
  limits.nestingLimit = 16;
  try {
    capnp::FlatArrayMessageReader message(words, limits);
    return read(message.getRoot<Root>());
  } catch (const kj::Exception& why) {
    return fail(kind::invalid, "bad_message",
                std::string("a damaged control message: ") + why.getDescription().cStr());
  }
}

inline error_info unknown_message() {
  return fail(kind::invalid, "unknown_message",
              "a control message of a kind this version does not know");
}

template <class List>
std::vector<std::string> texts_from(const List& list) {
  std::vector<std::string> all;
  all.reserve(list.size());
  for (const auto& text : list)
    all.emplace_back(text.begin(), text.end());
  return all;
}

template <class List>
void put_texts(List list, const std::vector<std::string>& texts) {
  for (unsigned n = 0; n < texts.size(); ++n)
    list.set(n, texts[n].c_str());
}

template <class Text>
std::string text_from(const Text& text) {
  return {text.begin(), text.end()};
}

template <class FaultReader>
error_info fault_from(const FaultReader& fault) {
  const auto number = fault.getKind();
  const bool known = to_string(static_cast<kind>(number)) != "unknown";
  auto why = fail(known ? static_cast<kind>(number) : kind::failed, text_from(fault.getCode()),
                  text_from(fault.getMessage()));
  why.trail = texts_from(fault.getTrail());
  why.retry_after_ms = fault.getRetryAfterMs();
  return why;
}

template <class FaultBuilder>
void put_fault(FaultBuilder fault, const error_info& why) {
  fault.setKind(static_cast<std::uint8_t>(why.kind));
  fault.setCode(why.code.c_str());
  fault.setMessage(why.message.c_str());
  put_texts(fault.initTrail(static_cast<unsigned>(why.trail.size())), why.trail);
  fault.setRetryAfterMs(why.retry_after_ms);
}

template <class... Cases>
struct match : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
match(Cases...) -> match<Cases...>;

}  // namespace berth::process
