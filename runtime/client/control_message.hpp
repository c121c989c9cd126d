#pragma once
// Control messages: verbs and their replies as bodies of frames (runtime/wire/control.capnp). Client and head share it.

#include <berth/error.hpp>
#include <berth/value.hpp>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace berth::client {

/// A request as received: the verb's word and its aggregate.
struct control_request {
  std::string verb;
  value args;
};

[[nodiscard]] std::vector<std::byte> encode(const control_request& what);
/// Errors: `invalid` (bad_message) for what is no request.
[[nodiscard]] result<control_request> decode_request(std::span<const std::byte> body);

/// Body of a reply or of a pushed item.
[[nodiscard]] std::vector<std::byte> encode_reply(const value& what);
/// Errors: `invalid` (bad_message) for what is no value.
[[nodiscard]] result<value> decode_reply(std::span<const std::byte> body);

}  // namespace berth::client
