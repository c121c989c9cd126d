#include "runtime/client/control_message.hpp"

#include "runtime/value/message.hpp"
#include "runtime/wire/control.capnp.h"

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <cstring>
#include <optional>
#include <utility>

namespace berth::client {
namespace {

constexpr std::size_t verb_bytes_max = 64;

error_info no_request() {
  return fail(kind::invalid, "bad_message", "the peer sent bytes that are no control request");
}

}  // namespace

std::vector<std::byte> encode(const control_request& what) {
  const auto args = encode_reply(what.args);
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<wire::Request>();
  root.setVerb(kj::StringPtr(what.verb.c_str(), what.verb.size()));
  root.setArgs({reinterpret_cast<const kj::byte*>(args.data()), args.size()});
  const auto words = capnp::messageToFlatArray(message);
  const auto chars = words.asBytes();
  const auto* first = reinterpret_cast<const std::byte*>(chars.begin());
  return {first, first + chars.size()};
}

result<control_request> decode_request(std::span<const std::byte> body) {
  const auto words = body.size() / sizeof(capnp::word);
  if (words == 0 || body.size() % sizeof(capnp::word) != 0) return no_request();
  std::vector<capnp::word> aligned(words);
  std::memcpy(static_cast<void*>(aligned.data()), body.data(), body.size());
  capnp::ReaderOptions limits;
  limits.traversalLimitInWords = words + 16;
  limits.nestingLimit = 4;
  control_request what;
  std::optional<error_info> why;
  const auto wrong = kj::runCatchingExceptions([&] {
    capnp::FlatArrayMessageReader reader({aligned.data(), aligned.size()}, limits);
    const auto root = reader.getRoot<wire::Request>();
    what.verb = std::string(root.getVerb().cStr(), root.getVerb().size());
    const auto args = root.getArgs();
    auto read = value_from_message({reinterpret_cast<const std::byte*>(args.begin()), args.size()});
    if (read)
      what.args = *std::move(read);
    else
      why = std::move(read).error();
  });
  if (wrong != nullptr || what.verb.empty() || what.verb.size() > verb_bytes_max)
    return no_request();
  if (why) return *std::move(why);
  return what;
}

std::vector<std::byte> encode_reply(const value& what) {
  return value_to_message(what).value();
}

result<value> decode_reply(std::span<const std::byte> body) {
  return value_from_message(body);
}

}  // namespace berth::client
