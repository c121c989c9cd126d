#include "runtime/module/saved_value.hpp"

#include <charconv>

namespace berth::module {

namespace {

constexpr std::string_view first_line = "berth-value 0\n";

error_info bad(const char* why) {
  return fail(kind::invalid, "bad_saved_value",
              std::string("the file is a damaged saved value: ") + why);
}

std::size_t aligned(std::size_t at) {
  return (at + 7) / 8 * 8;
}

}  // namespace

bool is_saved_value(std::string_view file) noexcept {
  return file.starts_with(first_line);
}

std::string print_saved(const shape& shape, std::span<const std::byte> block) {
  const auto type = encode(shape);
  std::string file(first_line);
  file += std::to_string(type.size()) + '\n' + type;
  file.resize(aligned(file.size()), '\0');
  return file.append(reinterpret_cast<const char*>(block.data()), block.size());
}

result<saved_value> parse_saved(std::string_view file) {
  if (!is_saved_value(file)) return bad("it begins otherwise");
  const auto digits = first_line.size();
  const auto end = file.find('\n', digits);
  if (end == std::string_view::npos) return bad("it ends too early");
  std::size_t size = 0;
  const auto [stop, why] = std::from_chars(file.data() + digits, file.data() + end, size);
  if (why != std::errc() || stop != file.data() + end || size > shape::encoded_bytes_max)
    return bad("the length of its shape is wrong");
  const auto begin = end + 1;
  const auto block = aligned(begin + size);
  if (block > file.size()) return bad("it ends too early");
  auto type = decode_shape(file.substr(begin, size));
  if (!type) return std::move(type.error()).at("while reading a saved value");
  return saved_value{std::move(*type), std::string(file.substr(block))};
}

}  // namespace berth::module
