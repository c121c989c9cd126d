#include <berth/failure.hpp>
#include <berth/value.hpp>

namespace berth {
namespace {

/// "refused {"row": 7, "why": "empty"}": enough to read without the type at hand.
std::string describe(const std::string& detail, const shape& type) {
  const auto* begin = reinterpret_cast<const std::byte*>(detail.data());
  const bytes block(begin, begin + detail.size());
  const auto payload = decode_hot(type, {block, {}});
  constexpr std::uint64_t elements_shown = 16;
  std::string text = type.name().empty() ? to_string(type) : type.name();
  if (payload) text += " " + print_json(*payload, {.tensor_elements_max = elements_shown});
  return text;
}

}  // namespace

failure_base::failure_base(std::string detail, const shape& type, std::string message) {
  info_ = fail(kind::failed, "failure", std::move(message));
  if (info_.message.empty()) info_.message = describe(detail, type);
  info_.detail = std::move(detail);
  info_.detail_type = encode(type);
}

failure_base::~failure_base() = default;

}  // namespace berth
