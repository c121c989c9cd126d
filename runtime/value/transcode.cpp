// Calls and results between two signatures of which one grew out of the other.
#include <berth/value.hpp>

namespace berth {

result<hot_block> transcode_arguments(const signature& from,
                                      const signature& to,
                                      const block_view& view) {
  const auto arguments = decode_hot(from, view);
  if (!arguments) return arguments.error();
  auto made = encode_hot(to, *arguments);
  if (!made)
    return std::move(made).error().at("while carrying arguments of " + to_string(from) + " over to "
                                      + to_string(to));
  return made;
}

result<hot_block> transcode_result(const shape& from, const shape& to, const block_view& view) {
  const auto v = decode_hot(from, view);
  if (!v) return v.error();
  auto made = encode_hot(to, *v, {.unknown = unknown_members::drop});
  if (!made)
    return std::move(made).error().at("while carrying a result " + to_string(from) + " over to "
                                      + to_string(to));
  return made;
}

}  // namespace berth
