#include "runtime/net/hello.hpp"

#include "runtime/wire/link.capnp.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace berth::net {
namespace {

constexpr std::array<char, 4> magic{'B', 'L', 'H', '1'};
constexpr std::size_t text_bytes_max = 512;

std::string bounded(const std::string& text) {
  return text.substr(0, text_bytes_max);
}

std::vector<std::byte> framed(capnp::MessageBuilder& message) {
  const auto words = capnp::messageToFlatArray(message);
  const auto bytes = words.asBytes();
  const auto size = static_cast<std::uint32_t>(bytes.size());
  std::vector<std::byte> all(greeting_prefix_bytes + size);
  std::memcpy(all.data(), magic.data(), magic.size());
  std::memcpy(all.data() + magic.size(), &size, sizeof size);
  std::memcpy(all.data() + greeting_prefix_bytes, bytes.begin(), size);
  return all;
}

// Copies to aligned words, reads with a traversal limit of the message's own size times four, turns KJ errors into ours.
template <class Message, class Read>
auto decode(std::span<const std::byte> bytes, Read&& read)
    -> result<decltype(read(std::declval<typename Message::Reader>()))> {
  if (bytes.size() > greeting_bytes_max || bytes.size() % sizeof(capnp::word) != 0)
    return fail(kind::invalid, "bad_hello", "the peer's greeting has an impossible length");
  std::array<capnp::word, greeting_bytes_max / sizeof(capnp::word)> words{};
  std::memcpy(words.data(), bytes.data(), bytes.size());
  try {
    capnp::ReaderOptions limits;
    limits.traversalLimitInWords = 4 * greeting_bytes_max;
    limits.nestingLimit = 8;
    capnp::FlatArrayMessageReader reader(
        kj::arrayPtr(words.data(), bytes.size() / sizeof(capnp::word)), limits);
    return read(reader.template getRoot<Message>());
  } catch (const kj::Exception& e) {
    return fail(kind::invalid, "bad_hello",
                std::string("the peer's greeting cannot be read: ") + e.getDescription().cStr());
  }
}

std::string text_of(capnp::Text::Reader text) {
  return {text.cStr(), std::min<std::size_t>(text.size(), text_bytes_max)};
}

}  // namespace

std::vector<std::byte> encode(const hello& what) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<wire::Hello>();
  root.setProtocol(what.protocol);
  root.setBerthVersion(bounded(what.version));
  root.setProgram(bounded(what.program));
  root.setRingBytes(what.ring_bytes);
  root.setNoRingReason(bounded(what.no_ring_reason));
  return framed(message);
}

std::vector<std::byte> encode(const welcome& what) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<wire::Welcome>();
  root.setProtocol(what.protocol);
  root.setBerthVersion(bounded(what.version));
  root.setProgram(bounded(what.program));
  if (!what.refused.message.empty()) {
    auto refused = root.initRefused();
    refused.setKind(static_cast<std::uint8_t>(what.refused.kind));
    refused.setCode(bounded(what.refused.code));
    refused.setMessage(bounded(what.refused.message));
  } else {
    auto open = root.initOpen();
    open.setLane(what.ring ? wire::Lane::RING : wire::Lane::SOCKET);
    open.setLaneReason(bounded(what.lane_reason));
    open.setCredits(what.credits);
  }
  return framed(message);
}

result<std::size_t> greeting_size(std::span<const std::byte> prefix) {
  std::uint32_t size = 0;
  std::memcpy(&size, prefix.data() + magic.size(), sizeof size);
  if (std::memcmp(prefix.data(), magic.data(), magic.size()) != 0 || size == 0
      || size > greeting_bytes_max)
    return fail(kind::invalid, "bad_hello", "the peer does not speak the protocol of berth links");
  return size;
}

result<hello> decode_hello(std::span<const std::byte> bytes) {
  return decode<wire::Hello>(bytes, [](wire::Hello::Reader root) {
    hello what;
    what.protocol = root.getProtocol();
    what.version = text_of(root.getBerthVersion());
    what.program = text_of(root.getProgram());
    what.ring_bytes = root.getRingBytes();
    what.no_ring_reason = text_of(root.getNoRingReason());
    return what;
  });
}

result<welcome> decode_welcome(std::span<const std::byte> bytes) {
  return decode<wire::Welcome>(bytes, [](wire::Welcome::Reader root) {
    welcome what;
    what.protocol = root.getProtocol();
    what.version = text_of(root.getBerthVersion());
    what.program = text_of(root.getProgram());
    if (root.isRefused()) {
      const auto refused = root.getRefused();
      const auto sort = refused.getKind();
      const bool known = sort >= 1 && sort <= static_cast<std::uint8_t>(kind::cancelled);
      what.refused = fail(known ? static_cast<kind>(sort) : kind::failed,
                          text_of(refused.getCode()), text_of(refused.getMessage()));
      if (what.refused.message.empty()) what.refused.message = "refused without a reason";
    } else {
      const auto open = root.getOpen();
      what.ring = open.getLane() == wire::Lane::RING;
      what.lane_reason = text_of(open.getLaneReason());
      what.credits = open.getCredits();
    }
    return what;
  });
}

result<void> check_protocol(std::uint32_t theirs, const std::string& version) {
  if (theirs == protocol_version) return {};
  return fail(kind::invalid, "protocol_version",
              "the other end is berth " + version + " and speaks link protocol "
                  + std::to_string(theirs) + ", this end is berth " + berth_version + " and speaks "
                  + std::to_string(protocol_version) + ": use the same version at both ends");
}

}  // namespace berth::net
