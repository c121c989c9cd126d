#include <algorithm>
#include <berth/codec.hpp>
#include <berth/describe.hpp>

namespace berth::codec {
namespace {

std::string_view in_words(flaw f) {
  switch (f) {
    case flaw::none:
      return "nothing is wrong";
    case flaw::too_short:
      return "it ends before its fixed part does";
    case flaw::bad_offset:
      return "a tail does not begin where the one before it ended";
    case flaw::bad_count:
      return "a tail claims more elements than there are bytes";
    case flaw::bad_external:
      return "an external payload is missing, out of order or of another size";
    case flaw::bad_bool:
      return "a bool is neither 0 nor 1";
    case flaw::bad_choice:
      return "a variant or optional holds an alternative that does not exist";
    case flaw::bad_tensor:
      return "a tensor's extents do not multiply to its elements";
    case flaw::doubled_key:
      return "a map or set holds a key twice";
    case flaw::misaligned:
      return "elements to be viewed in place do not lie aligned";
    case flaw::trailing:
      return "bytes or payloads are left over";
  }
  return "it breaks the layout";
}

}  // namespace

error_info too_large(const plan& p) {
  return fail(kind::invalid, "too_large",
              "these values need a block of " + std::to_string(p.bytes)
                  + " bytes; a block holds at most " + std::to_string(block_bytes_max)
                  + ": send large data as a tensor, bytes or a flat vector");
}

error_info explain(flaw f) {
  return fail(kind::invalid, "bad_block",
              "the block does not follow its signature's layout: " + std::string(in_words(f)));
}

}  // namespace berth::codec

namespace berth::detail {
namespace {

/// Extents as they stand in a block; a tensor without elements and extents is the empty one.
bool get_extents(reader& r, const std::byte* at, extents& sizes, bool& blank) {
  tail_view found;
  if (!r.tail(at, 8, 8, false, found)) return false;
  if (found.count > extents::rank_max) return r.refuse(flaw::bad_tensor);
  std::array<std::uint64_t, extents::rank_max> all{};
  if (found.count != 0) std::memcpy(all.data(), found.data, found.count * 8);
  sizes = extents(std::span<const std::uint64_t>(all.data(), found.count));
  blank = found.count == 0;
  return true;
}

bool bools_are_valid(const std::byte* data, std::uint64_t count) {
  return std::all_of(data, data + count, [](std::byte b) { return b <= std::byte{1}; });
}

/// A tensor over the payload itself when its owner can be kept, nothing when it must be copied.
std::optional<any_tensor> adopt(const external& payload, dtype type, const extents& sizes) {
  if (!payload.owner || payload.data < payload.owner->data()) return std::nullopt;
  auto made = any_tensor::over(type, sizes, payload.owner,
                               static_cast<std::uint64_t>(payload.data - payload.owner->data()));
  if (!made) return std::nullopt;
  return *std::move(made);
}

}  // namespace

bool get_tensor(reader& r, const std::byte* at, dtype type, any_tensor& x) {
  extents sizes;
  bool blank = false;
  if (!get_extents(r, at, sizes, blank)) return false;
  tail_view found;
  const std::size_t one = size_of(type);
  if (!r.tail(at + 8, one, one, type != dtype::b8, found)) return false;
  if (blank && found.count == 0) {
    x = any_tensor(type, {0});
    return true;
  }
  if (sizes.count() != found.count) return r.refuse(flaw::bad_tensor);
  if (type == dtype::b8 && !bools_are_valid(found.data, found.count))
    return r.refuse(flaw::bad_bool);
  if (found.beside) {
    if (auto shared = adopt(*found.beside, type, sizes)) {
      x = *std::move(shared);
      return true;
    }
  }
  x = any_tensor(type, sizes);
  if (found.count != 0) std::memcpy(x.edit().data(), found.data, found.count * one);
  return true;
}

std::vector<enumerator> enumerators_in(std::string_view printed, int low) {
  std::vector<enumerator> all;
  const std::size_t at = printed.find("Values = ");
  if (at == std::string_view::npos) return all;
  std::string_view rest = printed.substr(at + 10);  // behind the list's opening bracket
  std::int64_t value = low;
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < rest.size() && depth >= 0; ++i) {
    const char c = rest[i];
    if (c == '(' || c == '{' || c == '<') ++depth;
    if (c == ')' || c == '}' || c == '>') --depth;
    if ((c != ',' || depth != 0) && depth >= 0) continue;
    const std::string_view name = last_identifier(rest.substr(begin, i - begin));
    if (!name.empty() && (name.front() < '0' || name.front() > '9'))
      all.push_back({std::string(name), value});
    ++value;
    begin = i + 1;
  }
  return all;
}

std::string preset_of(std::string block) {
  const bool blank = std::all_of(block.begin(), block.end(), [](char c) { return c == 0; });
  return blank ? std::string() : block;
}

}  // namespace berth::detail
